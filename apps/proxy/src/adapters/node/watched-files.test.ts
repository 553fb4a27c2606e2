import { execFileSync, spawn } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createVirtualClock } from "@letta-environments/testkit";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { refuseSharedChanges, tenantCredentials } from "../../tenants/credentials.ts";
import type { CredentialSource, TenantSettings } from "../../tenants/settings.ts";
import { watchCredentialFiles, watchFile } from "./watched-files.ts";

describe("watched files", () => {
  let folder = "";

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "watch-file-"));
  });

  afterEach(() => rmSync(folder, { recursive: true }));

  function watched(path: string) {
    const clock = createVirtualClock();
    let changes = 0;
    const stop = watchFile(path, clock, () => (changes += 1));
    return { clock, stop, changes: () => changes };
  }

  test("a change of a watched file is reported once, after the file is completely written", async () => {
    const path = join(folder, "config.json");
    writeFileSync(path, "{}");
    const { clock, changes, stop } = watched(path);
    await clock.advance(3_000);
    expect(changes()).toBe(0);
    writeFileSync(path, '{"half');
    await clock.advance(1_000);
    writeFileSync(path, '{"half": "whole"}');
    await clock.advance(1_000);
    expect(changes()).toBe(0);
    await clock.advance(1_000);
    expect(changes()).toBe(1);
    await clock.advance(5_000);
    expect(changes()).toBe(1);
    stop();
  });

  test("a watched file that is created, replaced or removed is reported as a change", async () => {
    const path = join(folder, "config.json");
    const { clock, changes, stop } = watched(path);
    writeFileSync(path, "{}");
    await clock.advance(2_000);
    expect(changes()).toBe(1);
    writeFileSync(join(folder, "next.json"), "{}");
    renameSync(join(folder, "next.json"), path);
    await clock.advance(2_000);
    expect(changes()).toBe(2);
    rmSync(path);
    await clock.advance(2_000);
    expect(changes()).toBe(3);
    stop();
    writeFileSync(path, "{}");
    await clock.advance(5_000);
    expect(changes()).toBe(3);
  });

  test("a watched path that is temporarily unreadable counts as removed, and is still watched", async () => {
    const path = join(folder, "config.json");
    symlinkSync("config.json", path);
    const { clock, changes, stop } = watched(path);
    await clock.advance(2_000);
    rmSync(path);
    writeFileSync(path, "{}");
    await clock.advance(2_000);
    expect(changes()).toBe(1);
    rmSync(path);
    symlinkSync("config.json", path);
    await clock.advance(2_000);
    expect(changes()).toBe(2);
    stop();
  });

  test("a change of the permissions of a watched file is reported, even if the content is the same", async () => {
    const path = join(folder, "config.json");
    writeFileSync(path, "{}");
    chmodSync(path, 0o000);
    const { clock, changes, stop } = watched(path);
    chmodSync(path, 0o600);
    await clock.advance(2_000);
    expect(changes()).toBe(1);
    stop();
  });

  test("replacing the directory behind a symbolic link, as Kubernetes does, is reported as a change", async () => {
    for (const name of ["first", "second"]) {
      mkdirSync(join(folder, name));
      writeFileSync(join(folder, name, "config.json"), "{}");
    }
    symlinkSync("first", join(folder, "..data"));
    symlinkSync("..data/config.json", join(folder, "config.json"));
    const { clock, changes, stop } = watched(join(folder, "config.json"));
    symlinkSync("second", join(folder, "..next"));
    renameSync(join(folder, "..next"), join(folder, "..data"));
    await clock.advance(2_000);
    expect(changes()).toBe(1);
    stop();
  });
});

describe("credential files", () => {
  let folder: string;
  let path: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "credential-"));
    path = join(folder, "credential");
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  /** Opens the files of several tenants, whose names are those of the files. `b2` and `c2` have allowlists. */
  function openSeveral(credentials: Readonly<Record<string, string>>, live: ReadonlySet<string> = new Set()) {
    const clock = createVirtualClock();
    const events: string[] = [];
    const write = (tenant: string, text: string): void => writeFileSync(join(folder, tenant), text);
    const tenants = new Map<string, TenantSettings>();
    for (const [tenant, text] of Object.entries(credentials)) {
      write(tenant, text);
      const deviceIds = tenant.endsWith("2") ? [`device-of-${tenant}`] : null;
      const credential = { kind: "file", path: join(folder, tenant) } as const;
      tenants.set(tenant, { credential, publicName: null, deviceIds, connectionNames: null });
    }
    const outage: { cause: Error | null } = { cause: null };
    const keys = { generation: 0, reads: 0, whileReading: (): void => undefined };
    const credentialOf = watchCredentialFiles({
      tenants,
      defaultCredential: "sk-default",
      clock,
      keyGeneration: () => keys.generation,
      async prepareCheck() {
        keys.reads += 1;
        const read = new Set(live);
        await Promise.resolve();
        keys.whileReading();
        if (outage.cause !== null) throw outage.cause;
        return (changed, inUse) => refuseSharedChanges(tenantCredentials(tenants, null, read, inUse), changed);
      },
      telemetry(event) {
        if (event.type === "credential_file_failed") events.push(`${event.tenant} failed: ${String(event.cause)}`);
        if (event.type === "credential_file_recovered") events.push(`${event.tenant} recovered`);
      },
    });
    /** Returns the credential of each tenant after the next check. */
    async function use(...names: readonly string[]): Promise<readonly unknown[]> {
      await clock.advance(1_000);
      for (const tenant of names) credentialOf(tenant);
      await clock.advance(0);
      return names.map(credentialOf);
    }
    return { write, use, events, outage, keys };
  }

  test("a credential file that contains another tenant's credential is reported once with the rule, and the old credential stays in use until the file is corrected", async () => {
    const { write, use, events } = openSeveral({ acme: "sk-acme", globex: "sk-globex" });
    write("acme", "sk-globex");
    for (let second = 0; second < 3; second++) expect(await use("acme", "globex")).toEqual(["sk-acme", "sk-globex"]);
    expect(events).toEqual([
      expect.stringMatching(
        /^acme failed: .*acme is not used: tenants\.acme shares its upstream credential with tenant 'globex'/,
      ),
    ]);
    expect(events.join()).not.toContain("sk-");
    write("acme", "sk-acme-new");
    expect(await use("acme", "globex")).toEqual(["sk-acme-new", "sk-globex"]);
    expect(events.slice(1)).toEqual(["acme recovered"]);
  });

  test("a tenant may use a credential that its previous tenant no longer uses", async () => {
    const { write, use, events } = openSeveral({ acme: "sk-acme", globex: "sk-globex" });
    write("acme", "sk-globex");
    expect(await use("acme")).toEqual(["sk-acme"]);
    write("globex", "sk-globex-new");
    expect(await use("acme")).toEqual(["sk-globex"]);
    expect(await use("globex")).toEqual(["sk-globex-new"]);
    expect(events.slice(1)).toEqual(["acme recovered"]);
  });

  test.each([
    ["both at once", ["acme", "globex"]],
    ["one request after the other", ["globex", "acme"]],
  ])("credential files that are swapped, %s, change places in one step", async (_what, names) => {
    const { write, use, events } = openSeveral({ acme: "sk-acme", globex: "sk-globex" });
    write("acme", "sk-globex");
    write("globex", "sk-acme");
    const [first = "", second = ""] = names;
    const swapped: Readonly<Record<string, string>> = { acme: "sk-globex", globex: "sk-acme" };
    expect(await use(first)).toEqual([swapped[first]]);
    expect(await use(second)).toEqual([swapped[second]]);
    expect(events).toEqual([]);
  });

  test("a swap whose files are written one after the other succeeds in the end", async () => {
    const { write, use, events } = openSeveral({ acme: "sk-acme", globex: "sk-globex" });
    write("acme", "sk-globex");
    expect(await use("acme", "globex")).toEqual(["sk-acme", "sk-globex"]);
    write("globex", "sk-acme");
    expect(await use("acme", "globex")).toEqual(["sk-globex", "sk-acme"]);
    expect(events.slice(1)).toEqual(["acme recovered"]);
  });

  test("a credential that is written to the files of two tenants is used by neither, even if one of them has no requests", async () => {
    const { write, use, events } = openSeveral({ acme: "sk-acme", globex: "sk-globex" });
    write("globex", "sk-new");
    write("acme", "sk-new");
    expect(await use("acme")).toEqual(["sk-acme"]);
    expect(await use("acme", "globex")).toEqual(["sk-acme", "sk-globex"]);
    expect(events).toEqual([
      expect.stringContaining("acme is not used: tenants.acme shares its upstream credential with tenant 'globex'"),
      expect.stringContaining("globex is not used: tenants.acme shares its upstream credential with tenant 'globex'"),
    ]);
    write("acme", "sk-acme-new");
    expect(await use("acme", "globex")).toEqual(["sk-acme-new", "sk-new"]);
  });

  test("while a credential is refused, the keys are read again only after a change of a file or of a key", async () => {
    const live = new Set(["only-keys"]);
    const { write, use, events, keys } = openSeveral({ acme: "sk-acme", globex: "sk-globex" }, live);
    write("acme", "sk-default");
    for (let second = 0; second < 5; second++) expect(await use("acme", "globex")).toEqual(["sk-acme", "sk-globex"]);
    expect([keys.reads, events.length]).toEqual([1, 1]);
    write("globex", "sk-globex-new");
    expect(await use("globex", "acme")).toEqual(["sk-globex-new", "sk-acme"]);
    expect(keys.reads).toBe(2);
    live.clear();
    keys.generation += 1;
    expect(await use("acme")).toEqual(["sk-default"]);
    expect([keys.reads, events.slice(1)]).toEqual([3, ["acme recovered"]]);
  });

  test("a key that ends while the keys are being read is detected a second later", async () => {
    const live = new Set(["only-keys"]);
    const { write, use, keys } = openSeveral({ acme: "sk-acme" }, live);
    write("acme", "sk-default");
    keys.whileReading = () => {
      if (live.delete("only-keys")) keys.generation += 1;
    };
    expect(await use("acme")).toEqual(["sk-acme"]);
    expect(await use("acme")).toEqual(["sk-default"]);
  });

  test("a refused credential is used within a minute after the last key of the other tenant has expired", async () => {
    const live = new Set(["only-keys"]);
    const { write, use } = openSeveral({ acme: "sk-acme" }, live);
    write("acme", "sk-default");
    expect(await use("acme")).toEqual(["sk-acme"]);
    live.clear();
    for (let second = 1; second < 60; second++) await use("acme");
    expect(await use("acme")).toEqual(["sk-default"]);
  });

  test("a changed credential may be one that tenants share by configuration", async () => {
    const { write, use, events } = openSeveral({ b2: "sk-b", c2: "sk-c", d: "sk-d" });
    write("b2", "sk-c");
    expect(await use("b2", "c2")).toEqual(["sk-c", "sk-c"]);
    write("d", "sk-default");
    expect(await use("d")).toEqual(["sk-default"]);
    expect(events).toEqual([]);
  });

  test("a changed credential must not match that of a tenant known only from its keys, and is not used while the keys cannot be read", async () => {
    const { write, use, events, outage } = openSeveral({ acme: "sk-acme" }, new Set(["only-keys"]));
    write("acme", "sk-default");
    outage.cause = new Error("no connection");
    expect(await use("acme")).toEqual(["sk-acme"]);
    outage.cause = null;
    expect(await use("acme")).toEqual(["sk-acme"]);
    expect(events).toEqual(["acme failed: Error: no connection"]);
    write("acme", "sk-acme");
    expect(await use("acme")).toEqual(["sk-acme"]);
    write("acme", "sk-default");
    expect(await use("acme")).toEqual(["sk-acme"]);
    expect(events.slice(1)).toEqual(["acme recovered", expect.stringContaining("with tenant 'only-keys'")]);
  });

  function open(credential: CredentialSource | null = { kind: "file", path }) {
    const clock = createVirtualClock();
    const failures: unknown[] = [];
    const recovered: string[] = [];
    const settings: TenantSettings = { credential, publicName: null, deviceIds: null, connectionNames: null };
    const credentialOf = watchCredentialFiles({
      tenants: new Map([["a", settings]]),
      defaultCredential: "sk-default",
      clock,
      keyGeneration: () => 0,
      prepareCheck: () => Promise.resolve(() => new Map()),
      telemetry(event) {
        if (event.type === "credential_file_failed") failures.push([event.tenant, String(event.cause)]);
        if (event.type === "credential_file_recovered") recovered.push(event.tenant);
      },
    });
    return { clock, failures, recovered, credentialOf };
  }

  test("a tenant uses its own credential, and a tenant without one uses the default", () => {
    writeFileSync(path, "sk-a\n");
    expect([open().credentialOf("a"), open().credentialOf("b")]).toEqual(["sk-a", "sk-default"]);
    expect(open({ kind: "environment", variable: "A", value: "sk-env" }).credentialOf("a")).toBe("sk-env");
    expect(open(null).credentialOf("a")).toBe("sk-default");
  });

  test("a changed or replaced credential file takes effect within a second", async () => {
    writeFileSync(path, "sk-1");
    const { credentialOf, clock } = open();
    writeFileSync(path, "sk-second");
    expect(credentialOf("a")).toBe("sk-1");
    await clock.advance(1_000);
    expect(credentialOf("a")).toBe("sk-second");
    writeFileSync(`${path}.new`, "sk-three3");
    renameSync(`${path}.new`, path);
    await clock.advance(1_000);
    expect(credentialOf("a")).toBe("sk-three3");
  });

  test("a removed or invalid credential file is reported once, without its content, and so is its recovery; the old credential stays in use", async () => {
    writeFileSync(path, "sk-1");
    const { credentialOf, clock, failures, recovered } = open();
    writeFileSync(path, "sk 2\nsecret");
    for (let second = 0; second < 3; second++) {
      await clock.advance(1_000);
      expect(credentialOf("a")).toBe("sk-1");
    }
    expect([failures.length, recovered]).toEqual([1, []]);
    expect(JSON.stringify(failures)).not.toContain("secret");
    writeFileSync(path, "sk-better");
    for (let second = 0; second < 2; second++) {
      await clock.advance(1_000);
      expect([credentialOf("a"), recovered]).toEqual(["sk-better", ["a"]]);
    }
    rmSync(path);
    await clock.advance(1_000);
    expect(credentialOf("a")).toBe("sk-better");
    expect(failures).toHaveLength(2);
  });

  test.each([
    ["missing", null],
    ["empty", "\n"],
    ["of two lines", "sk-1\nsk-2"],
  ])("a credential file that is %s at the start is an error that does not contain the credential", (_what, text) => {
    if (text !== null) writeFileSync(path, text);
    expect(() => open()).toThrow(
      /tenants\.a\.upstream\.credentialFile: .*credential (cannot be read|must contain one)/,
    );
    expect(() => open()).not.toThrow(/sk-/);
  });

  test("a credential file that is a pipe is an error, and is not waited for", () => {
    execFileSync("mkfifo", [path]);
    const writer = spawn("sh", ["-c", 'printf sk-1 > "$0"', path]);
    try {
      expect(() => open()).toThrow(/credentialFile: .*credential cannot be read \(it is not a regular file\)/);
    } finally {
      writer.kill();
    }
  });
});
