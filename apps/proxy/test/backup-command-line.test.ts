/** Backups as an operator makes them: of a running gateway, into a new directory, and of files that are no backups. */
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectScriptedDevice, launchProxy, type LaunchedProxy, runLettaProxy } from "@letta-environments/testkit";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { extractArchive } from "../src/adapters/node/backup-archive.ts";

vi.setConfig({ testTimeout: 60_000 });

let folder = "";
const proxies: LaunchedProxy[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "letta-proxy-backup-"));
});

afterEach(async () => {
  for (const proxy of proxies.splice(0)) await proxy.stop();
  await rm(folder, { recursive: true, force: true });
});

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function run(words: readonly string[], env: Record<string, string> = {}): Promise<Outcome> {
  try {
    return { code: 0, ...(await runLettaProxy(words, env)) };
  } catch (error) {
    return error as Outcome;
  }
}

async function start(dataDir: string): Promise<LaunchedProxy> {
  const proxy = await launchProxy({ dataDir });
  proxies.push(proxy);
  return proxy;
}

const pathOf = (name: string): string => join(folder, name);

test("a backup of a running gateway restores its keys, devices and audit log, which still verifies", async () => {
  const proxy = await start(pathOf("data"));
  const caller = await proxy.createKey({ scopes: ["list", "read", "send"] });
  const connect = await proxy.createKey({ scopes: ["connect"] });
  const device = await connectScriptedDevice({ baseUrl: proxy.url, apiKey: connect, deviceId: "device-1" });
  const message = { role: "user", content: "hello", client_message_id: "m1" };
  const sent = await fetch(`${proxy.url}/v1/environments/${device.connectionId}/messages`, {
    method: "POST",
    headers: { authorization: `Bearer ${caller}`, "content-type": "application/json" },
    body: JSON.stringify({ agentId: "agent-1", messages: [message] }),
  });
  expect(sent.status).toBe(200);

  const made = await run(["backup", pathOf("b.tar"), "--with-pepper", "--data-dir", pathOf("data")]);
  expect(made).toMatchObject({ code: 0, stderr: "" });
  expect(made.stdout).toContain("environments.sqlite, proxy.sqlite, audit.sqlite, pepper.");
  expect(statSync(pathOf("b.tar")).mode & 0o777).toBe(0o600);
  expect(readdirSync(folder).toSorted()).toEqual(["b.tar", "data"]);
  expect(execFileSync("tar", ["tf", pathOf("b.tar")], { encoding: "utf8" }).split("\n")[0]).toBe("manifest.json");
  await device.close();
  await proxy.stop();

  const restored = await run(["restore", pathOf("b.tar"), "--data-dir", pathOf("new/data")]);
  expect(restored).toMatchObject({ code: 0, stderr: "" });
  expect(restored.stdout).toContain("The audit log is intact");
  expect(readdirSync(pathOf("new/data")).filter((name) => name.startsWith("gateway"))).toEqual([]);
  const modes = readdirSync(pathOf("new/data")).map((name) => statSync(pathOf(`new/data/${name}`)).mode & 0o777);
  expect([statSync(pathOf("new/data")).mode & 0o777, ...new Set(modes)]).toEqual([0o700, 0o600]);
  expect(await run(["audit", "verify", "--data-dir", pathOf("new/data")])).toMatchObject({ code: 0 });
  const again = await start(pathOf("new/data"));
  const list = await fetch(`${again.url}/v1/environments`, { headers: { authorization: `Bearer ${caller}` } });
  expect(await list.json()).toMatchObject({ connections: [{ deviceId: "device-1" }] });
});

test("backup and restore print control characters of a path as escapes", async () => {
  await run(["keys", "create", "--name", "a", "--data-dir", pathOf("data")]);
  const made = await run(["backup", pathOf("\u001b.tar"), "--data-dir", pathOf("data")]);
  const restored = await run(["restore", pathOf("\u001b.tar"), "--data-dir", pathOf("\u001bnew")]);
  expect([made.stdout, restored.stdout]).toEqual([
    expect.stringContaining(String.raw`\u001b.tar: proxy.sqlite, audit.sqlite.`),
    expect.stringContaining(String.raw`\u001bnew/pepper`),
  ]);
  expect(made.stdout + restored.stdout).not.toContain("\u001b");
});

test("a backup without --with-pepper has no pepper, and the restored keys work once the pepper is restored", async () => {
  const { stdout: key } = await run(["keys", "create", "--name", "a", "--data-dir", pathOf("data")]);
  expect(await run(["backup", pathOf("b.tar"), "--data-dir", pathOf("data")])).toMatchObject({ code: 0 });
  const pepper = readFileSync(pathOf("data/pepper"));
  expect(readFileSync(pathOf("b.tar")).includes(pepper)).toBe(false);
  expect(readFileSync(pathOf("b.tar")).includes(Buffer.from(key.trim()))).toBe(false);

  await mkdir(pathOf("mounted"));
  const restored = await run(["restore", pathOf("b.tar"), "--data-dir", pathOf("mounted")]);
  expect(restored).toMatchObject({ code: 0, stdout: expect.stringContaining("put the pepper into") });
  expect(readdirSync(pathOf("mounted")).toSorted()).toEqual(["audit.sqlite", "proxy.sqlite"]);
  await cp(pathOf("data/pepper"), pathOf("mounted/pepper"));
  const proxy = await start(pathOf("mounted"));
  const list = await fetch(`${proxy.url}/v1/environments`, { headers: { authorization: `Bearer ${key.trim()}` } });
  expect(list.status).toBe(200);
});

test("a failed backup prints one line with the reason, and leaves no file", async () => {
  await run(["keys", "create", "--name", "a", "--data-dir", pathOf("data")]);
  await writeFile(pathOf("taken"), "x");
  const pepper = { KEY_PEPPER: "a pepper of more than 32 characters" };
  const cases: readonly (readonly [words: readonly string[], env: Record<string, string>, text: string])[] = [
    [["backup", pathOf("taken"), "--data-dir", pathOf("data")], {}, "taken exists already"],
    // Before anything else, so that users do not wait for copies that are discarded.
    [["backup", pathOf("taken"), "--with-pepper", "--data-dir", pathOf("data")], pepper, "taken exists already"],
    [["backup", pathOf("none/b.tar"), "--data-dir", pathOf("data")], {}, "cannot write in"],
    [["backup", pathOf("b.tar"), "--data-dir", pathOf("none")], {}, "this directory does not exist"],
    [["backup", pathOf("b.tar"), "--with-pepper", "--data-dir", pathOf("data")], pepper, "KEY_PEPPER"],
    [["backup", pathOf("b.tar"), "--data-dir", pathOf("data")], pepper, "this is not the pepper of the keys"],
  ];
  for (const [words, env, text] of cases) {
    const { code, stdout, stderr } = await run(words, env);
    expect([code, stdout, stderr.trimEnd().split("\n").length]).toEqual([1, "", 1]);
    expect(stderr).toContain(text);
  }
  expect(readdirSync(folder).toSorted()).toEqual(["data", "taken"]);
  expect(readFileSync(pathOf("taken"), "utf8")).toBe("x");
});

test("a backup of a directory without keys refuses a pepper that has sealed nothing in its audit log", async () => {
  const [own, other] = [{ KEY_PEPPER: "own".repeat(11) }, { KEY_PEPPER: "other".repeat(11) }];
  await run(["keys", "create", "--name", "a", "--data-dir", pathOf("data")], own);
  // As with keys in Valkey.
  await rm(pathOf("data/proxy.sqlite"));
  const backup = ["backup", pathOf("b.tar"), "--data-dir", pathOf("data")];
  expect(await run(backup, other)).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("KEY_PEPPER: this is not the pepper of the records of the audit log"),
  });
  expect(existsSync(pathOf("b.tar"))).toBe(false);
  expect(await run(backup, own)).toMatchObject({ code: 0, stderr: "" });
  const restored = await run(["restore", pathOf("b.tar"), "--data-dir", pathOf("new")], own);
  expect(restored).toMatchObject({ code: 0, stdout: expect.stringContaining("The audit log is intact") });
});

test("a damaged or truncated backup, or another file, restores nothing", async () => {
  await run(["keys", "create", "--name", "a", "--data-dir", pathOf("data")]);
  await run(["backup", pathOf("b.tar"), "--with-pepper", "--data-dir", pathOf("data")]);
  const intact = readFileSync(pathOf("b.tar"));
  const edited = (change: (bytes: Buffer) => Buffer): Buffer => change(Buffer.from(intact));
  const damaged: readonly Buffer[] = [
    edited((bytes) => bytes.subarray(0, bytes.byteLength - 1_024)),
    edited((bytes) => bytes.subarray(0, 5_000)),
    edited((bytes) => bytes.fill(bytes[20_000] === 7 ? 8 : 7, 20_000, 20_001)),
    Buffer.from(intact.toString("latin1").replaceAll("proxy.sqlite", "../../x.sqli"), "latin1"),
    Buffer.from("no archive"),
    Buffer.alloc(0),
  ].filter((bytes) => !bytes.equals(intact));
  for (const bytes of damaged) {
    await writeFile(pathOf("bad.tar"), bytes);
    const { code, stderr } = await run(["restore", pathOf("bad.tar"), "--data-dir", pathOf("new")]);
    expect([code, stderr.trimEnd().split("\n").length]).toEqual([1, 1]);
    expect(stderr).toMatch(/bad\.tar is (?:damaged|not a backup)/);
    expect(existsSync(pathOf("new"))).toBe(false);
  }
  expect(await run(["restore", pathOf("none.tar"), "--data-dir", pathOf("new")])).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("none.tar cannot be read"),
  });
  const folderInstead = await run(["restore", pathOf("data"), "--data-dir", pathOf("new")]);
  expect(folderInstead).toMatchObject({ code: 1, stdout: "" });
  expect(folderInstead.stderr).toBe(`letta-proxy: ${pathOf("data")} cannot be read: it is a directory\n`);
  await expect(extractArchive(pathOf("b.tar"), pathOf("none"))).rejects.toThrow(
    "--data-dir: proxy.sqlite cannot be written: there is no such file or directory",
  );
  expect(await run(["restore", pathOf("b.tar"), "--data-dir", pathOf("data")])).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("is not empty"),
  });
  expect(readdirSync(folder).toSorted()).toEqual(["b.tar", "bad.tar", "data"]);
});
