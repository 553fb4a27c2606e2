/** `letta-proxy keys` as a user runs it: separate processes, a data directory, a running gateway. */
import { join } from "node:path";
import { openSqlite } from "@letta-environments/platform/node";
import { describe, expect, test, vi } from "vitest";
import { ask, useCommandLine } from "./support/use-command-line.ts";

// Every test starts several processes, on a machine that may be busy with others.
vi.setConfig({ testTimeout: 60_000 });

const session = useCommandLine();
const { start, run } = session;

describe("commands for keys", () => {
  test("keys create prints only the key; a running gateway accepts it at once, and refuses it when it is revoked or rotated", async () => {
    const proxy = await start();
    const { stdout, stderr } = await run(["keys", "create", "--name", "n"]);
    expect([stdout, stderr]).toEqual([expect.stringMatching(/^lek_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}\n$/), ""]);
    const key = stdout.trim();
    const id = key.slice(4, 16);
    expect((await ask(proxy, key, "/v1/environments")).status).toBe(200);

    const rotated = (await run(["keys", "rotate", id, "--overlap", "0s"])).stdout.trim();
    expect((await ask(proxy, key, "/v1/environments")).status).toBe(401);
    expect((await ask(proxy, rotated, "/v1/environments")).status).toBe(200);

    expect((await run(["keys", "revoke", id])).code).toBe(0);
    expect((await ask(proxy, rotated, "/v1/environments")).status).toBe(401);
    const [listed] = JSON.parse((await run(["keys", "list", "--json"])).stdout) as unknown[];
    expect(listed).toMatchObject({ id, name: "n", tenant: "default", scopes: ["list", "read"], state: "revoked" });
    expect(JSON.stringify(listed)).not.toContain("digest");
  });

  test("keys disable and enable of a revoked or expired key exit with 1 and change nothing, and a repeated revoke exits with 0", async () => {
    const revoked = (await run(["keys", "create", "--name", "n"])).stdout.slice(4, 16);
    await run(["keys", "revoke", revoked]);
    const expired = (await run(["keys", "create", "--name", "n", "--expires", "1s"])).stdout.slice(4, 16);
    const untilExpired = async (): Promise<string> => {
      const { stdout } = await run(["keys", "list", "--json"]);
      return (JSON.parse(stdout) as { state: string }[]).some(({ state }) => state === "active")
        ? untilExpired()
        : stdout;
    };
    const before = await untilExpired();
    for (const [id, state] of [
      [revoked, "revoked"],
      [expired, "expired"],
    ] as const) {
      for (const act of ["disable", "enable"]) {
        expect(await run(["keys", act, id])).toMatchObject({
          code: 1,
          stdout: "",
          stderr: `letta-proxy: The gateway key is ${state}; nothing was changed. Create a new one.\n`,
        });
      }
    }
    expect((await run(["keys", "revoke", revoked])).code).toBe(0);
    expect((await run(["keys", "list", "--json"])).stdout).toBe(before);
  });

  test("keys show and update one key, and a running gateway applies an update at once", async () => {
    const proxy = await start();
    const key = (await run(["keys", "create", "--name", "n", "--scope", "list"])).stdout.trim();
    const id = key.slice(4, 16);
    expect((await ask(proxy, key, "/v1/environments/d1")).status).toBe(403);
    const update = [
      "keys",
      "update",
      id,
      "--scope",
      "read",
      "--scope",
      "list",
      "--description",
      "why",
      "--expires",
      "2w",
    ];
    expect(await run(update)).toEqual({ code: 0, stdout: `Updated ${id}\n`, stderr: "" });
    expect((await ask(proxy, key, "/v1/environments/d1")).status).toBe(404);
    const shown = (await run(["keys", "show", id])).stdout;
    for (const text of [/^Scopes +list, read$/m, /^Description +why$/m, /^Devices +every device of the tenant$/m]) {
      expect(shown).toMatch(text);
    }
    expect((await run(["keys", "update", id, "--clear", "expires"])).code).toBe(0);
    expect(JSON.parse((await run(["keys", "show", id, "--json"])).stdout)).toMatchObject({
      ...{ id, scopes: ["list", "read"], description: "why", expiresAt: null, state: "active" },
    });
    expect(shown).not.toContain(key);
    for (const words of [
      ["show", "unknown"],
      ["update", "unknown", "--name", "m"],
    ]) {
      expect(await run(["keys", ...words])).toMatchObject({ code: 1, stderr: expect.stringContaining("no key") });
    }
    await run(["keys", "revoke", id]);
    expect(await run(["keys", "update", id, "--name", "m"])).toMatchObject({
      code: 1,
      stderr: "letta-proxy: The gateway key is revoked; nothing was changed. Create a new one.\n",
    });
  });

  test("keys create refuses a rate limit of an unknown policy or of one that counts only failures, and warns of a --device that looks like a name", async () => {
    await run(["keys", "create", "--name", "first"]);
    for (const policy of ["nope", "gateway-failed-sign-ins"]) {
      expect(await run(["keys", "create", "--name", "n", "--rate-limit", `${policy}=10/1m`])).toMatchObject({
        code: 2,
        stdout: "",
        stderr: expect.stringMatching(
          `override, not ${policy}.*: gateway-requests, gateway-sends, .*gateway-sign-ins\n`,
        ),
      });
    }
    const { code, stdout, stderr } = await run(["keys", "create", "--name", "n", "--device", "my-laptop"]);
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^lek_\w+\n$/)]);
    expect(stderr).toMatch(
      /^letta-proxy: --device my-laptop does not look like .*; for a name use --device-name my-laptop\n$/,
    );
  });

  test("keys create warns of a maximum mode that new devices exceed, and of denied tools for which they do not ask, unless the key sets a mode or cannot send", async () => {
    await run(["keys", "create", "--name", "first"]);
    const create = async (...words: string[]) => (await run(["keys", "create", "--name", "n", ...words])).stderr;
    const limited = ["--scope", "send", "--max-mode", "acceptEdits"];
    expect(await create(...limited)).toMatch(/^letta-proxy: --max-mode acceptEdits without --set-mode: .*\n$/);
    expect(await create(...limited, "--set-mode", "acceptEdits")).toBe("");
    expect(await create("--scope", "list", "--max-mode", "acceptEdits")).toBe("");
    expect(await create("--scope", "send", "--max-mode", "unrestricted")).toBe("");
    const denying = ["--scope", "send", "--deny-tool", "Bash"];
    expect(await create(...denying)).toMatch(/^letta-proxy: --deny-tool without --set-mode: .*\n$/);
    expect(await create(...denying, "--set-mode", "standard")).toBe("");
    expect(await create("--scope", "connect", "--deny-tool", "Bash")).toBe("");
  });

  test("keys create warns of denied tools for which devices ask in no mode, and names those that a pattern matches", async () => {
    await run(["keys", "create", "--name", "first"]);
    const create = async (...words: string[]) => (await run(["keys", "create", "--name", "n", ...words])).stderr;
    const denying = ["--scope", "send", "--set-mode", "standard", "--deny-tool"];
    expect(await create(...denying, "memory*")).toMatch(/^letta-proxy: .*: memory, memory_apply_patch\n$/);
    expect(await create("--scope", "connect", "--deny-tool", "Bash", "--deny-tool", "Read")).toMatch(
      /^letta-proxy: a device never asks for permission to use these tools, .*: Read\n$/,
    );
    expect(await create(...denying, "*")).toMatch(/: Read, Glob, .*\n$/);
    expect(await create(...denying, "Edit")).toBe("");
  });

  test("keys list and create read all keys, however many, and wait for other work in between", async () => {
    await run(["keys", "create", "--name", "first"]);
    const database = openSqlite(join(session.dataDir, "proxy.sqlite"));
    database.exec(
      `WITH RECURSIVE numbers (number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < 1200)
      INSERT INTO keys SELECT 'key' || number, created_at + number, replace(record, '"' || id || '"', '"key' || number || '"') FROM keys, numbers`,
    );
    database.close();
    expect((await run(["keys", "create", "--name", "last"])).stdout).toMatch(/^lek_/);
    const keys = JSON.parse((await run(["keys", "list", "--json"])).stdout) as unknown[];
    expect(keys).toHaveLength(1_202);
  });

  test("keys revoke and rotate report an unknown id and a revoked key", async () => {
    const id = (await run(["keys", "create", "--name", "n"])).stdout.slice(4, 16);
    expect(await run(["keys", "revoke", "unknown"])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("no key"),
    });
    await run(["keys", "revoke", id]);
    expect(await run(["keys", "rotate", id])).toMatchObject({
      code: 1,
      stdout: "",
      stderr: expect.stringContaining("revoked"),
    });
  });
});
