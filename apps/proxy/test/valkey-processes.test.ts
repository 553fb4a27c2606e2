/** Gateways that share their keys through Valkey: `letta-proxy` in separate processes, as a user runs it. */
import { connect as connectSocket } from "node:net";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  canLaunchValkey,
  connectScriptedDevice,
  launchDevice,
  type LaunchedProxy,
  type LaunchedValkey,
  launchProxy,
  launchValkey,
  registerDevice,
  runLettaProxy,
} from "@letta-environments/testkit";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

// Every test starts several processes, on a machine that may be busy with others.
vi.setConfig({ testTimeout: 60_000 });

const password = "hunter2secret";
const KEY_PEPPER = "a pepper that all of them are given";

let folder = "";
let valkey: LaunchedValkey;
const proxies: LaunchedProxy[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "letta-proxy-"));
});
afterEach(async () => {
  for (const proxy of proxies.splice(0)) await proxy.stop();
  await valkey.stop();
  await rm(folder, { recursive: true, force: true });
});

interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function environment(more: Readonly<Record<string, string>> = {}): Record<string, string> {
  return { VALKEY_URL: valkey.url, KEY_PEPPER, ...more };
}

async function run(words: readonly string[], env = environment(), dataDir = "cli"): Promise<CommandResult> {
  try {
    return { code: 0, ...(await runLettaProxy([...words, "--data-dir", join(folder, dataDir)], env)) };
  } catch (error) {
    return error as CommandResult;
  }
}

async function start(dataDir: string): Promise<LaunchedProxy> {
  const proxy = await launchProxy({ dataDir: join(folder, dataDir), env: environment() });
  proxies.push(proxy);
  return proxy;
}

async function createKey(...scopes: readonly string[]): Promise<{ readonly key: string; readonly id: string }> {
  const words = ["keys", "create", "--name", "shared", ...scopes.flatMap((scope) => ["--scope", scope])];
  const key = (await run(words)).stdout.trim();
  return { key, id: key.split("_")[1] ?? "" };
}

async function statusOf(proxy: LaunchedProxy, key: string): Promise<number> {
  const response = await fetch(`${proxy.url}/v1/environments`, { headers: { authorization: `Bearer ${key}` } });
  await response.text();
  return response.status;
}

async function readiness(proxy: LaunchedProxy): Promise<string> {
  return (await fetch(`${proxy.url}/readyz?verbose`)).text();
}

/** Sends one command over its own connection, since those of the gateway refuse replicas. */
async function tellValkey(command: string): Promise<void> {
  const socket = connectSocket(valkey.port, "127.0.0.1");
  socket.write(`AUTH ${password}\r\n${command}\r\n`);
  let replies = "";
  for await (const chunk of socket) {
    replies += String(chunk);
    if (replies === "+OK\r\n+OK\r\n") break;
  }
  expect(replies).toBe("+OK\r\n+OK\r\n");
}

/** Repeats a request until the response is the expected one. */
async function untilStatus(proxy: LaunchedProxy, key: string, wanted: number): Promise<void> {
  await expect.poll(() => statusOf(proxy, key), { timeout: 30_000, interval: 10 }).toBe(wanted);
}

describe.skipIf(!canLaunchValkey())("gateways on one Valkey", () => {
  beforeEach(async () => {
    valkey = await launchValkey({ password });
  });

  test("gateways that share a Valkey accept each other's keys, and a revocation reaches all of them", async () => {
    const [one, two] = [await start("one"), await start("two")];
    const { key, id } = await createKey("list");
    expect([await statusOf(one, key), await statusOf(two, key)]).toEqual([200, 200]);
    expect((await run(["keys", "list"])).stdout).toContain(id);
    expect((await run(["keys", "revoke", id])).stdout).toBe(`Revoked ${id}\n`);
    // How soon is tested on a virtual clock (`src/auth/gateway-key.revocation.test.ts`).
    await Promise.all([one, two].map((proxy) => untilStatus(proxy, key, 401)));
    const files = await Promise.all(["one", "two"].map((name) => readdir(join(folder, name))));
    for (const names of files) expect(names.filter((name) => /^(?:proxy|pepper)/.test(name))).toEqual([]);
  });

  test("gateways close the sockets of a revoked key, and none because of an outage of Valkey", async () => {
    const proxy = await start("one");
    const [ended, staying] = [await createKey("connect"), await createKey("connect")];
    const options = { baseUrl: proxy.url, apiKey: ended.key, deviceId: "ended" };
    const device = await connectScriptedDevice(options);
    const other = await connectScriptedDevice({ baseUrl: proxy.url, apiKey: staying.key, deviceId: "staying" });
    let closed: number | null = null;
    void other.closed.then((code) => (closed = code));

    valkey.pause();
    await proxy.process.waitForOutput(/"event":"key_store_failed"/);
    // The environment server's rows are the gateway's own.
    expect(await registerDevice({ ...options, deviceId: "third" })).toMatchObject({ status: 200 });
    valkey.resume();
    expect(closed).toBeNull();

    await run(["keys", "revoke", ended.id]);
    expect(await device.closed).toBe(1008);
    expect(closed).toBeNull();
    await other.close();
  });

  test("during an outage of Valkey, gateways respond with 503 to keys that are not cached, accept cached ones, and recover", async () => {
    const proxy = await start("one");
    const [warm, cold] = [await createKey("list"), await createKey("list", "connect")];
    // The first lookup finds that keys have changed since the start, and nothing from before a change is remembered.
    for (let count = 0; count < 2; count++) expect(await statusOf(proxy, warm.key)).toBe(200);
    valkey.pause();
    expect(await statusOf(proxy, warm.key)).toBe(200);
    const register = await registerDevice({ baseUrl: proxy.url, apiKey: cold.key, deviceId: "d" });
    expect(register).toMatchObject({ status: 503, body: { errorCode: "key_store_unavailable" } });
    expect(await statusOf(proxy, cold.key)).toBe(503);
    valkey.resume();
    await untilStatus(proxy, cold.key, 200);
    expect(await statusOf(proxy, warm.key)).toBe(200);
    const failures = proxy.process.output().match(/\{"event":"key_store_failed".*/g) ?? [];
    expect(failures.filter((line) => line.includes('"requestId":"req')).length).toBeGreaterThanOrEqual(2);
    // The stack is logged once, however many keys are tried.
    expect(failures.filter((line) => line.includes('"cause":'))).toHaveLength(1);
    expect(proxy.process.output()).not.toContain(password);
  });

  test("a real device reconnects until Valkey is available again", async () => {
    const proxy = await start("one");
    const { key } = await createKey("connect");
    valkey.pause();
    const device = await launchDevice({ baseUrl: proxy.url, apiKey: key, deviceId: "patient" });
    await proxy.process.waitForOutput(/"operation":"registerEnvironment","status":503/);
    valkey.resume();
    await proxy.process.waitForOutput(/"event":"device_connected"/);
    expect(device.process.output()).not.toContain("not valid");
    await device.stop();
  });

  test("a gateway with another pepper does not start, and the message says what every gateway needs", async () => {
    await createKey("list");
    const { KEY_PEPPER: _, ...without } = environment();
    const missing = await run(["keys", "list"], without);
    expect(missing).toMatchObject({ code: 1, stderr: expect.stringContaining("The pepper is missing") });
    const other = await run(["keys", "list"], environment({ KEY_PEPPER: "another" }));
    expect(other).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("is not the pepper of the keys in Valkey"),
    });
    for (const { stderr } of [missing, other]) expect(stderr).toContain("needs the same KEY_PEPPER");
  });

  test("config check reports where keys are stored and that Valkey does not respond, and creates nothing", async () => {
    const good = await run(["config", "check"]);
    expect(good).toMatchObject({ code: 0, stdout: expect.stringContaining(`Valkey at 127.0.0.1:${valkey.port}.`) });
    await valkey.stop();
    const bad = await run(["config", "check"]);
    expect(bad).toMatchObject({ code: 1, stderr: expect.stringContaining("ECONNREFUSED") });
    expect(await readdir(folder)).toEqual([]);
  });

  test("a start that fails while Valkey responds ends with its error, and leaves the data directory unlocked", async () => {
    const proxy = await start("one");
    const taken = await run(["start", "--port", new URL(proxy.url).port], environment(), "two");
    expect([taken.code, taken.stderr]).toEqual([1, expect.stringMatching(/^letta-proxy: port [0-9]+ .* is taken/)]);
    expect((await start("two")).url).not.toBe(proxy.url);

    const config = join(folder, "config.json");
    const credentialFile = join(folder, "no-such-file");
    await writeFile(config, JSON.stringify({ tenants: { acme: { upstream: { credentialFile } } } }));
    const remote = environment({ UPSTREAM_URL: "http://127.0.0.1:9" });
    const missing = await run(["start", "--port", "0", "--config", config], remote, "three");
    expect([missing.code, missing.stderr]).toEqual([1, expect.stringContaining("no-such-file")]);
  });

  test("a gateway disconnects from a Valkey that becomes a replica, reports it in /readyz and the log, and uses it again as a primary", async () => {
    const proxy = await start("one");
    const { key } = await createKey("list");
    for (let count = 0; count < 2; count++) expect(await statusOf(proxy, key)).toBe(200);
    const primary = await launchValkey();
    try {
      await tellValkey(`REPLICAOF 127.0.0.1 ${primary.port}`);
      await expect.poll(() => readiness(proxy), { timeout: 30_000, interval: 100 }).toContain("[-]keys failed");
      await proxy.process.waitForOutput(/"event":"readiness_failed","check":"keys".*the server is a replica/);
      const commands = await run(["keys", "list"]);
      expect(commands).toMatchObject({ code: 1, stderr: expect.stringContaining("the server is a replica") });
      await tellValkey("REPLICAOF NO ONE");
      await expect.poll(() => readiness(proxy), { timeout: 30_000, interval: 100 }).toContain("[+]keys ok");
    } finally {
      await primary.stop();
    }
  });

  test("a start without a response from Valkey fails with an error that names host and port, but not the password", async () => {
    const wrong = environment({ VALKEY_URL: `valkey://:wrong${password}@127.0.0.1:${valkey.port}` });
    const refused = await run(["start", "--port", "0"], wrong);
    await valkey.stop();
    const gone = await run(["start", "--port", "0"]);
    const malformed = await run(["start"], environment({ VALKEY_URL: `http://:${password}@host` }));
    expect(refused.stderr).toContain("WRONGPASS");
    expect(gone.stderr).toContain("ECONNREFUSED");
    for (const { stderr } of [refused, gone]) expect(stderr).toContain(`Valkey at 127.0.0.1:${valkey.port} cannot be`);
    expect(malformed.stderr).toContain("VALKEY_URL must be a valkey:, valkeys:, redis: or rediss: URL");
    for (const { code, stderr, stdout } of [refused, gone, malformed]) {
      expect(code).toBe(1);
      expect(stderr + stdout).not.toContain(password);
    }
  });
});

describe.skipIf(!canLaunchValkey())("a Valkey cluster", () => {
  beforeEach(async () => {
    valkey = await launchValkey({ args: ["--cluster-enabled", "yes"] });
  });

  test("a gateway refuses to start with a cluster node, and says so in one line", async () => {
    for (const words of [
      ["start", "--port", "0"],
      ["config", "check"],
      ["keys", "list"],
    ]) {
      const { code, stderr } = await run(words);
      expect([code, stderr]).toEqual([
        1,
        expect.stringContaining(`VALKEY_URL: Valkey at 127.0.0.1:${valkey.port} is a node of a cluster`),
      ]);
      expect(stderr.trim().split("\n")).toHaveLength(1);
    }
  });
});
