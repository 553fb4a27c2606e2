import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { openSqlite } from "@letta-environments/platform/node";
import {
  acknowledgeAsStarted,
  connectScriptedDevice,
  createFakeUpstream,
  type LaunchedProxy,
  launchProxy,
} from "@letta-environments/testkit";
import { afterEach, beforeEach, expect, test } from "vitest";
import { environmentRow } from "./support/environment-row.ts";
import { requestHead, sendRaw } from "./support/raw-http.ts";

const page = "https://console.example";

let folder = "";
let file = "";
let proxy: LaunchedProxy;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "reload-"));
  file = join(folder, "proxy.config.json");
});

afterEach(async () => {
  await proxy.stop();
  rmSync(folder, { recursive: true });
});

/** Puts another file in its place, as configuration tools do. */
function write(config: unknown): void {
  const text = typeof config === "string" ? config : JSON.stringify(config);
  writeFileSync(`${file}.next`, text);
  renameSync(`${file}.next`, file);
}

async function start(config: unknown, env: Record<string, string> = {}): Promise<void> {
  write(config);
  proxy = await launchProxy({ args: ["--config", file], env });
}

function reloadNow(): void {
  process.kill(proxy.process.pid, "SIGHUP");
}

async function allowedOrigin(): Promise<string | null> {
  const response = await fetch(`${proxy.url}/v1/environments`, { headers: { origin: page } });
  return response.headers.get("access-control-allow-origin");
}

test("a changed configuration file is applied automatically, and keys, sockets and the port stay", async () => {
  await start({});
  const key = await proxy.createKey({ scopes: ["list", "read", "send", "connect"] });
  const device = await connectScriptedDevice({ baseUrl: proxy.url, apiKey: key, deviceId: "laptop" });
  expect(await allowedOrigin()).toBeNull();
  write({ cors: { origins: [page] } });
  await proxy.process.waitForOutput(
    /"event":"configuration_reloaded","changed":\["cors.origins"\],"awaitingRestart":\[\]/,
  );
  expect(await allowedOrigin()).toBe(page);
  const list = await fetch(`${proxy.url}/v1/environments?onlineOnly=true`, {
    headers: { authorization: `Bearer ${key}` },
  });
  expect(await list.json()).toMatchObject({ connections: [{ deviceId: "laptop" }] });
  await device.close();
});

test("an invalid, malformed or missing configuration file changes nothing and is reported without its values", async () => {
  await start({ cors: { origins: [page] } });
  write({ cors: { origins: ["secret-looking text"] }, nonsense: 1 });
  reloadNow();
  await proxy.process.waitForOutput(
    new RegExp(`"event":"configuration_refused","problems":\\[[^\\]]*"${file}: nonsense is not a setting"`),
  );
  write('{"cors": ');
  reloadNow();
  await proxy.process.waitForOutput(
    /"event":"configuration_refused","problems":\["[^"]*is not valid JSON: line 1, column \d+: (?:[^"\\]|\\.)*"\]/,
  );
  write("[".repeat(100_000));
  reloadNow();
  await proxy.process.waitForOutput(
    /"event":"configuration_refused","problems":\["[^"]*line 1, column 65: this is nested too deeply[^"]*"\]/,
  );
  rmSync(file);
  reloadNow();
  await proxy.process.waitForOutput(/"event":"configuration_refused","problems":\["[^"]*no longer exists"\]/);
  expect(await allowedOrigin()).toBe(page);
  expect(proxy.process.output()).not.toContain("secret-looking text");
  write({});
  await proxy.process.waitForOutput(/"event":"configuration_reloaded","changed":\["cors.origins"\]/);
  expect(await allowedOrigin()).toBeNull();
});

test("changed rate limits apply at once, and earlier requests still count", async () => {
  const limited = (limit: number) => ({
    rateLimits: { policies: { reads: { per: ["key"], limit, windowMs: 3_600_000, routes: ["retrieveEnvironment"] } } },
  });
  await start(limited(100));
  const key = await proxy.createKey({ scopes: ["read"] });
  const read = async (): Promise<number> =>
    (await fetch(`${proxy.url}/v1/environments/nobody`, { headers: { authorization: `Bearer ${key}` } })).status;
  expect([await read(), await read(), await read()]).toEqual([404, 404, 404]);
  write(limited(1));
  reloadNow();
  await proxy.process.waitForOutput(/"event":"configuration_reloaded","changed":\["rateLimits"\]/);
  expect(await read()).toBe(429);
});

test("a reload reports settings that need a restart, and applies the others", async () => {
  await start({});
  write({ publicUrl: "https://gateway.example", cors: { origins: [page] } });
  reloadNow();
  await proxy.process.waitForOutput(/"changed":\["cors.origins"\],"awaitingRestart":\["publicUrl"\]/);
  expect(await allowedOrigin()).toBe(page);
});

test("the administration keeps its host's name until the restart that changes the host", async () => {
  const token = "a".repeat(40);
  // The shortest name of loopback that is neither `localhost` nor written as an address.
  await start({ admin: { port: 0, host: "127.1", allowRemote: true } }, { ADMIN_TOKEN: token });
  const [, url = ""] = await proxy.process.waitForOutput(/"event":"admin_listening","url":"([^"]+)"/);
  const statusAs = async (host: string): Promise<number> => {
    const head = requestHead("GET", "/admin/v1/keys", { host, authorization: `Bearer ${token}` });
    return (await sendRaw(url, head)).status;
  };
  expect([await statusAs("127.1"), await statusAs("other.example")]).toEqual([200, 421]);
  write({ admin: { port: 0, host: "127.0.0.1", hostnames: ["other.example"] } });
  reloadNow();
  await proxy.process.waitForOutput(/"changed":\["admin.hostnames"\],"awaitingRestart":\["admin.host"\]/);
  expect([await statusAs("127.1"), await statusAs("other.example")]).toEqual([200, 200]);
});

test("a send that is in flight during a reload gets the device's acknowledgement", async () => {
  await start({});
  const key = await proxy.createKey({ scopes: ["list", "read", "send", "connect"] });
  const device = await connectScriptedDevice({
    baseUrl: proxy.url,
    apiKey: key,
    deviceId: "laptop",
    acknowledge: () => null,
  });
  const sent = fetch(`${proxy.url}/v1/environments/${device.connectionId}/messages`, {
    method: "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: JSON.stringify({
      agentId: "agent-1",
      messages: [{ role: "user", content: "hello", client_message_id: "m1" }],
    }),
  });
  const input = await device.received.waitFor((frame) => frame.type === "input");
  write({ cors: { origins: [page] } });
  reloadNow();
  await proxy.process.waitForOutput(/"event":"configuration_reloaded"/);
  device.send(acknowledgeAsStarted(input));
  expect((await sent).status).toBe(200);
  await device.close();
});

test("a reload keeps the knowledge that an earlier send delivered nothing", async () => {
  let isRefusing = true;
  const upstream = await createFakeUpstream(({ method }, response) => {
    const accepted = { success: true, message: "ok" };
    const body = method === "POST" ? accepted : { connections: [environmentRow("1")], hasNextPage: false };
    const status = method === "POST" && isRefusing ? 400 : 200;
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
  });
  const config = { upstream: { url: upstream.url, timeoutMs: 2_000 } };
  write(config);
  proxy = await launchProxy({ args: ["--config", file], env: { LETTA_API_KEY: "upstream-key" } });
  const key = await proxy.createKey({ scopes: ["send"] });
  const send = async (): Promise<unknown> => {
    const response = await fetch(`${proxy.url}/v1/environments/conn-1/messages`, {
      method: "POST",
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
      body: JSON.stringify({ agentId: "a", messages: [{ role: "user", content: "x", client_message_id: "m" }] }),
    });
    const { errorCode } = (await response.json()) as { readonly errorCode?: string };
    return [response.status, errorCode];
  };
  const database = openSqlite(join(proxy.dataDir, "audit.sqlite"));
  database.exec(`CREATE TRIGGER fail BEFORE DELETE ON send_ids BEGIN SELECT RAISE(ABORT, 'disk full'); END`);
  expect(await send()).toEqual([400, "upstream_error"]);
  isRefusing = false;
  write({ ...config, cors: { origins: [page] } });
  await proxy.process.waitForOutput(/"event":"configuration_reloaded"/);
  // Its ids cannot be released yet.
  expect(await send()).toEqual([503, "idempotency_unavailable"]);
  database.exec("DROP TRIGGER fail");
  expect(await send()).toEqual([200, undefined]);
  database.close();
  await upstream.close();
});

test("a reload closes the sockets of devices that the tenant's allowlist no longer has, and no others", async () => {
  await start({});
  const key = await proxy.createKey({ scopes: ["list", "connect"] });
  const [kept, gone] = await Promise.all(
    ["laptop", "phone"].map((deviceId) => connectScriptedDevice({ baseUrl: proxy.url, apiKey: key, deviceId })),
  );
  write({ tenants: { default: { deviceIds: ["laptop"] } } });
  reloadNow();
  await proxy.process.waitForOutput(/"event":"device_disconnected"[^\n]*"deviceId":"phone"/);
  write({ tenants: { default: { deviceIds: ["laptop", "tablet"] } } });
  reloadNow();
  await proxy.process.waitForOutput(/("configuration_reloaded"[^]*){2}/);
  const list = await fetch(`${proxy.url}/v1/environments?onlineOnly=true`, {
    headers: { authorization: `Bearer ${key}` },
  });
  expect(await list.json()).toMatchObject({ connections: [{ deviceId: "laptop" }] });
  await Promise.all([kept?.close(), gone?.close()]);
});
