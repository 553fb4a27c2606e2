/** `letta-proxy` as a user runs it: separate processes, a data directory, real sockets. */
import { chmod, readdir, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Environment, EnvironmentList, Problem } from "@letta-environments/schema";
import {
  connectScriptedDevice,
  createFakeUpstream,
  launchProcess,
  type LaunchedProxy,
  runLettaProxy,
} from "@letta-environments/testkit";
import { describe, expect, test, vi } from "vitest";
import { ask, type CommandResult, useCommandLine } from "./support/use-command-line.ts";

const entry = join(import.meta.dirname, "../src/runtimes/node.ts");
// Every test starts several processes, on a machine that may be busy with others.
vi.setConfig({ testTimeout: 60_000 });

const keyPattern = /lek_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}/g;

const session = useCommandLine();
const { start, run } = session;

function message(id: string): unknown {
  return { agentId: "a1", messages: [{ role: "user", content: "hello", client_message_id: id }] };
}

describe("start", () => {
  test("start --log json prints its URL and no key, and exits with 0 on SIGTERM", async () => {
    const proxy = await start();
    expect((await fetch(`${proxy.url}/readyz`)).status).toBe(200);
    expect(await proxy.process.stop()).toEqual({ code: 0, signal: null });
    const lines = proxy.process
      .standardOutput()
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { event: string });
    expect(lines.map(({ event }) => event)).toEqual(["listening", "stopping", "audit_end", "stopped"]);
    expect(await run(["keys", "list"])).toEqual({ code: 0, stdout: "", stderr: "There are no keys.\n" });
  });

  test("the first start prints two keys and commands that can be pasted, and later starts print no key", async () => {
    const cwd = join(import.meta.dirname, "../../..");
    const args = [entry, "start", "--port", "0", "--data-dir", session.dataDir];
    const command = { command: process.execPath, args, cwd };
    const first = launchProcess(command);
    await first.waitForOutput(/"ping"\n/);
    const text = first.standardOutput();
    // The console adds a link, where it is built.
    expect(new Set(text.replaceAll(/#link=\w+/g, "").match(keyPattern))).toHaveLength(2);
    const list = launchProcess({
      command: "sh",
      args: ["-c", `${/^ {2}(.* node scripts\/letta-env.mjs list)$/m.exec(text)?.[1] ?? "exit 9;"} --json`],
      cwd,
    });
    await list.exited;
    expect(JSON.parse(list.standardOutput())).toEqual({ connections: [], hasNextPage: false });
    expect(text).toMatch(
      /LETTA_BASE_URL=http:\/\/127\.0\.0\.1:[0-9]+ LETTA_API_KEY=lek_\w+ node scripts\/device.mjs$/m,
    );
    await first.stop();
    const second = launchProcess(command);
    await second.waitForOutput(/node scripts\/letta-proxy.mjs keys create .*\n/);
    await second.stop();
    expect(second.output()).not.toMatch(keyPattern);
  });

  test("start fails with a clear message if the port is taken, the file is invalid or a setting is wrong", async () => {
    const proxy = await start();
    const other = ["--data-dir", join(session.dataDir, "other")];
    const taken = await runLettaProxy(["start", "--port", new URL(proxy.url).port, ...other]).catch(
      (error: unknown) => error as CommandResult & { code: number },
    );
    expect(taken).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^letta-proxy: port [0-9]+ of 127.0.0.1 is taken/),
    });
    const file = join(session.dataDir, "broken.json");
    await writeFile(file, '{\n  "port": 1\n  "host": "x"\n}');
    for (const command of [["start"], ["config", "check"]]) {
      expect(await run([...command, "--config", file])).toMatchObject({
        code: 1,
        stderr: `letta-proxy: ${file} is not valid JSON: line 3, column 3: expected a comma or }, found '"'\n`,
      });
    }
    await writeFile(file, '{\n  "rateLimits": { "enabled": true },\n  "rateLimits": { "enabled": false }\n}');
    expect(await run(["config", "check", "--config", file])).toMatchObject({
      code: 1,
      stderr: `letta-proxy: ${file} is not valid JSON: line 3, column 3: "rateLimits" is in this object twice\n`,
    });
    expect(await runLettaProxy(["start", "--data-dir", file]).catch((error: unknown) => error)).toMatchObject({
      code: 1,
      stderr: `letta-proxy: the data directory ${file}: this is a file; pass a directory\n`,
    });
    expect(await run(["start", "--port", "x"])).toMatchObject({ code: 2 });
    expect(await run(["start"], { UPSTREAM_URL: "http://10.0.0.1" })).toMatchObject({ code: 1 });
  });

  test("the first signal waits for requests in flight, and a second one ends the process at once", async () => {
    let arrived = (): void => undefined;
    const calling = new Promise<void>((resolve) => (arrived = resolve));
    const upstream = await createFakeUpstream(() => arrived());
    const proxy = await start({ UPSTREAM_URL: upstream.url });
    const key = await proxy.createKey({ scopes: ["list"] });
    const dropped = fetch(`${proxy.url}/v1/environments`, { headers: { authorization: `Bearer ${key}` } }).catch(
      () => "dropped",
    );
    await calling;
    process.kill(proxy.process.pid, "SIGTERM");
    await proxy.process.waitForOutput(/"event":"stopping"/);
    expect(await proxy.process.stop()).toEqual({ code: 1, signal: null });
    expect(await dropped).toBe("dropped");
    await upstream.close();
  });
});

describe("the pepper of a data directory", () => {
  test("the files of the pepper and the keys are accessible to their owner only", async () => {
    await chmod(session.dataDir, 0o755);
    const inner = join(session.dataDir, "new");
    await runLettaProxy(["keys", "create", "--name", "n", "--data-dir", inner]);
    expect((await stat(inner)).mode & 0o777).toBe(0o700);
    for (const name of await readdir(inner)) expect((await stat(join(inner, name))).mode & 0o777).toBe(0o600);
  });

  test("config check refuses a damaged pepper before any key exists, as a start does", async () => {
    await writeFile(join(session.dataDir, "pepper"), "x");
    for (const words of [
      ["config", "check"],
      ["start", "--port", "0"],
    ]) {
      expect(await run(words)).toMatchObject({ code: 1, stderr: expect.stringContaining("the pepper is damaged") });
    }
  });

  test("every command fails if the pepper is missing while keys exist, and creates no new one", async () => {
    await run(["keys", "create", "--name", "n"]);
    await rm(join(session.dataDir, "pepper"));
    for (const words of [
      ["start", "--port", "0"],
      ["keys", "create", "--name", "m"],
    ]) {
      expect(await run(words)).toMatchObject({
        code: 1,
        stdout: "",
        stderr: expect.stringContaining("pepper is missing"),
      });
    }
    expect(await readdir(session.dataDir)).not.toContain("pepper");
  });

  test("a start fails if the pepper does not match the keys", async () => {
    await run(["keys", "create", "--name", "n"], { KEY_PEPPER: "one".repeat(11) });
    const other = await run(["start", "--port", "0"], { KEY_PEPPER: "two".repeat(11) });
    const expected = /^letta-proxy: KEY_PEPPER: this is not the pepper of the keys.*unset it to use .*pepper\n$/;
    expect([other.code, other.stderr]).toEqual([1, expect.stringMatching(expected)]);
    await writeFile(join(session.dataDir, "pepper"), "x".repeat(32));
    const fromFile = await run(["keys", "create", "--name", "m"]);
    expect(fromFile.stderr).toContain(`${join(session.dataDir, "pepper")}: this is not the pepper of the keys`);
  });

  test.each([
    ["start", "--port", "0"],
    ["config", "check"],
    ["keys", "create", "--name", "n"],
  ])("%s fails if KEY_PEPPER is too short, and does not print it", async (...words) => {
    const { code, stderr, stdout } = await run(words, { KEY_PEPPER: "hunter2" });
    expect([code, stderr]).toEqual([1, expect.stringContaining("KEY_PEPPER must have at least 32 characters")]);
    expect(stdout + stderr).not.toContain("hunter2");
  });

  test("concurrent commands create one pepper", async () => {
    const created = await Promise.all(["a", "b", "c"].map((name) => run(["keys", "create", "--name", name])));
    const notice = /^letta-proxy: made a new data directory, .*\n/;
    expect(created.map(({ stderr }) => stderr.replace(notice, ""))).toEqual(["", "", ""]);
    const proxy = await start();
    for (const { stdout } of created) expect((await ask(proxy, stdout.trim(), "/v1/environments")).status).toBe(200);
  });
});

describe("data directories", () => {
  test("a second gateway with an embedded server on the same data directory fails at once, and commands still work", async () => {
    const first = await start();
    const second = await run(["start", "--port", "0", "--log", "json"]);
    expect([second.code, second.stdout]).toEqual([1, ""]);
    expect(second.stderr).toBe(
      `letta-proxy: another gateway is running with the data directory ${session.dataDir}: stop it, or choose another directory with --data-dir\n`,
    );
    expect((await run(["keys", "create", "--name", "n"])).code).toBe(0);
    expect((await run(["audit", "verify"])).code).toBe(0);
    await first.process.stop("SIGKILL");
    await (await start()).process.stop();
    await start();
  });

  test("several gateways with a remote upstream can share a data directory", async () => {
    const env = { UPSTREAM_URL: "http://127.0.0.1:9" };
    const gateways = [await start(env), await start(env)];
    const statuses = await Promise.all(gateways.map(async ({ url }) => (await fetch(`${url}/livez`)).status));
    expect([new Set(gateways.map(({ url }) => url)).size, ...statuses]).toEqual([2, 200, 200]);
  });
});

test("help, version and completion exit with 0, a misuse with 2 and a hint, and config check names the upstream", async () => {
  expect((await runLettaProxy(["--version"])).stdout).toMatch(/^[0-9]+\.[0-9]+\.[0-9]+\n$/);
  expect((await runLettaProxy(["keys", "create", "--help"])).stdout).toContain("--scope");
  expect((await runLettaProxy(["completion", "bash"])).stdout).toContain("complete -F _letta_proxy letta-proxy\n");
  expect(await runLettaProxy(["keys", "lst"]).catch((error: unknown) => error)).toMatchObject({
    code: 2,
    stdout: "",
    stderr:
      "letta-proxy: unknown command 'keys lst'; did you mean list?\n'letta-proxy keys --help' shows how to use it.\n",
  });
  expect((await run(["config", "check"])).stdout).toContain("embedded");
  const checked = await run(["config", "check"], { UPSTREAM_URL: "https://api.example", LETTA_API_KEY: "sk-secret" });
  expect(checked.stdout).toContain("https://api.example");
  expect(checked.stdout + checked.stderr).not.toContain("sk-secret");
});

/** Asks until the server has heard that the device is gone. */
async function untilOffline(proxy: LaunchedProxy, key: string, deviceId: string): Promise<void> {
  const { json } = await ask(proxy, key, `/v1/environments/${deviceId}`);
  if ((json as Environment).connectionId !== null) await untilOffline(proxy, key, deviceId);
}

describe("the embedded server of the command line", () => {
  test("the embedded server lists, reads and messages a device, and reports messages that cannot be delivered", async () => {
    const proxy = await start();
    const caller = await proxy.createKey({ scopes: ["list", "read", "send"] });
    const connect = await proxy.createKey({ scopes: ["connect"] });
    const device = await connectScriptedDevice({ baseUrl: proxy.url, apiKey: connect, deviceId: "device-1" });
    expect(device.wsUrl.startsWith(proxy.url.replace("http:", "ws:"))).toBe(true);

    const list = (await ask(proxy, caller, "/v1/environments")).json as EnvironmentList;
    const row = (await ask(proxy, caller, "/v1/environments/device-1")).json as Environment;
    expect(list.connections).toEqual([row]);
    expect(row).toMatchObject({ deviceId: "device-1", connectionId: device.connectionId });

    const path = `/v1/environments/${device.connectionId}/messages`;
    expect(await ask(proxy, caller, path, message("m1"))).toMatchObject({ status: 200, json: { success: true } });
    const unknown = await ask(proxy, caller, "/v1/environments/conn-unknown/messages", message("m2"));
    expect((unknown.json as Problem).errorCode).toBe("connection_not_found");
    await device.close();
    await untilOffline(proxy, caller, "device-1");
    const offline = await ask(proxy, caller, path, message("m3"));
    expect([offline.status, (offline.json as Problem).errorCode]).toEqual([409, "device_offline"]);
    expect(offline.headers.get("x-should-retry")).toBe("false");
  });

  test("keys, environments and results survive kill -9", async () => {
    const proxy = await start();
    const caller = await proxy.createKey({ scopes: ["list", "send"] });
    const connect = await proxy.createKey({ scopes: ["connect"] });
    const device = await connectScriptedDevice({ baseUrl: proxy.url, apiKey: connect, deviceId: "device-1" });
    const path = `/v1/environments/${device.connectionId}/messages`;
    const sent = await ask(proxy, caller, path, message("m1"));
    expect(await proxy.process.stop("SIGKILL")).toMatchObject({ signal: "SIGKILL" });

    const again = await start();
    const { connections } = (await ask(again, caller, "/v1/environments")).json as EnvironmentList;
    expect(connections).toMatchObject([{ deviceId: "device-1", connectionId: null }]);
    const replayed = await ask(again, caller, path, message("m1"));
    expect(replayed).toMatchObject({ status: 200, json: sent.json });
    expect(replayed.headers.get("idempotency-replayed")).toBe("true");
  });
});

test("with a remote upstream, the gateway sends its own credential, never reveals it, and registers no devices", async () => {
  const upstream = await createFakeUpstream((_request, response) => {
    response.writeHead(200, { "content-type": "application/json" }).end('{"connections":[],"hasNextPage":false}');
  });
  const proxy = await start({ UPSTREAM_URL: upstream.url, LETTA_API_KEY: "sk-secret" });
  const caller = await proxy.createKey({ scopes: ["list", "connect"] });
  const list = await ask(proxy, caller, "/v1/environments?limit=3");
  expect(list.status).toBe(200);
  const [seen] = upstream.seen;
  expect(seen).toMatchObject({ method: "GET", target: "/v1/environments?limit=3" });
  expect(seen?.headers["authorization"]).toBe("Bearer sk-secret");
  expect(JSON.stringify(seen?.headers)).not.toContain(caller);
  const register = await ask(proxy, caller, "/v1/environments/register", { deviceId: "d", connectionName: "d" });
  expect((register.json as Problem).errorCode).toBe("endpoint_not_found");
  await proxy.process.stop();
  expect(proxy.process.output()).not.toContain("sk-secret");
  expect(proxy.process.output()).not.toContain(caller);
  await upstream.close();
});
