import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import {
  acknowledgeAsStarted,
  connectScriptedDevice,
  type LaunchedProxy,
  launchProxy,
} from "@letta-environments/testkit";
import { afterEach, beforeEach, expect, test } from "vitest";

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

async function start(config: unknown): Promise<void> {
  write(config);
  proxy = await launchProxy({ args: ["--config", file] });
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
  await proxy.process.waitForOutput(/"event":"configuration_refused","problems":\[[^\]]*nonsense/);
  write('{"cors": ');
  reloadNow();
  await proxy.process.waitForOutput(
    /"event":"configuration_refused","problems":\["[^"]*is not valid JSON: line 1, column \d+: (?:[^"\\]|\\.)*"\]/,
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
