import {
  connectScriptedDevice,
  createRelay,
  launchDevice,
  type LaunchedProxy,
  launchProxy,
  registerDevice,
  runLettaProxy,
} from "@letta-environments/testkit";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";

let dataDir: string;
let proxy: LaunchedProxy;

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "letta-refused-"));
  proxy = await launchProxy({ dataDir });
});

afterEach(async () => {
  await proxy.stop();
  await rm(dataDir, { recursive: true, force: true });
});

test("a real device with a wrong key tries to register once, receives the reason and stops", async () => {
  const relay = await createRelay(proxy.url);
  const device = await launchDevice({ baseUrl: relay.url, apiKey: "not-a-key", deviceId: "refused" });
  const exit = await device.process.exited;
  expect(exit.code).toBe(1);
  expect(device.process.output()).toContain("The gateway key is not valid");
  expect(relay.requests).toEqual([{ method: "POST", path: "/v1/environments/register", status: 401 }]);
  await device.stop();
  await relay.close();
}, 60_000);

test("a real device whose key ended is refused at the upgrade and backs off: 3 attempts take over 2 seconds", async () => {
  const relay = await createRelay(proxy.url);
  const deviceKey = await proxy.createKey({ scopes: ["connect"] });
  const device = await launchDevice({ baseUrl: relay.url, apiKey: deviceKey, deviceId: "ended" });
  await proxy.process.waitForOutput(/"event":"device_connected"/);
  const port = Number(new URL(proxy.url).port);
  const id = await onlyKeyId();
  await proxy.process.stop("SIGKILL");
  await runLettaProxy(["keys", "revoke", id, "--data-dir", dataDir]);
  proxy = await launchProxy({ dataDir, port });
  await proxy.process.waitForOutput(/"operation":"openDeviceSocket","status":401/);
  const firstAt = performance.now();
  await proxy.process.waitForOutput(/("operation":"openDeviceSocket","status":401[^]*){3}/);
  const elapsedMs = performance.now() - firstAt;
  const refusals = relay.requests.filter((request) => request.status === 401);
  await device.kill();
  await relay.close();
  // The device waits 1, 2, 4, 8 ... seconds between refusals, so ten seconds hold at most five of them.
  expect(refusals.every((request) => request.path.includes("/socket"))).toBe(true);
  expect(elapsedMs).toBeGreaterThan(2_000);
}, 60_000);

test("a device belongs to the key that registered it: another key is refused, and the same key after a rotation is not", async () => {
  const owner = await proxy.createKey({ scopes: ["connect"] });
  const other = await proxy.createKey({ scopes: ["connect"] });
  const options = { baseUrl: proxy.url, deviceId: "owned" };
  expect(await registerDevice({ ...options, apiKey: owner })).toMatchObject({ status: 200 });
  expect(await registerDevice({ ...options, apiKey: other })).toMatchObject({
    status: 403,
    body: { errorCode: "device_owned_by_another_key" },
  });
  const { stdout } = await runLettaProxy(["keys", "list", "--json", "--data-dir", dataDir]);
  const ids = [...stdout.matchAll(/"id":\s*"([^"]+)"/g)].map((match) => match[1] ?? "");
  const id = ids.find((candidate) => owner.includes(candidate)) ?? "";
  const rotated = await runLettaProxy(["keys", "rotate", id, "--data-dir", dataDir]);
  expect(await registerDevice({ ...options, apiKey: rotated.stdout.trim() })).toMatchObject({ status: 200 });
}, 60_000);

async function onlyKeyId(): Promise<string> {
  const { stdout } = await runLettaProxy(["keys", "list", "--json", "--data-dir", dataDir]);
  return /"id":\s*"([^"]+)"/.exec(stdout)?.[1] ?? "";
}

test("a connected device whose key is revoked is disconnected, tries to register once, receives the reason and stops", async () => {
  const relay = await createRelay(proxy.url);
  const deviceKey = await proxy.createKey({ scopes: ["connect"] });
  const device = await launchDevice({ baseUrl: relay.url, apiKey: deviceKey, deviceId: "revoked" });
  await proxy.process.waitForOutput(/"event":"device_connected"/);
  await runLettaProxy(["keys", "revoke", await onlyKeyId(), "--data-dir", dataDir]);
  expect((await device.process.exited).code).toBe(1);
  expect(relay.requests.map(({ status }) => status)).toEqual([200, 101, 401]);
  await device.stop();
  await relay.close();
}, 60_000);

test("disabling a key closes its sockets with 1008, and enabling it lets the device connect again", async () => {
  const deviceKey = await proxy.createKey({ scopes: ["connect"] });
  const options = { baseUrl: proxy.url, apiKey: deviceKey, deviceId: "disabled" };
  const device = await connectScriptedDevice(options);
  const id = await onlyKeyId();
  await runLettaProxy(["keys", "disable", id, "--data-dir", dataDir]);
  expect(await device.closed).toBe(1008);
  expect((await registerDevice(options)).status).toBe(401);
  await runLettaProxy(["keys", "enable", id, "--data-dir", dataDir]);
  const again = await connectScriptedDevice(options);
  await again.close();
  // A base URL may end in a slash: a device puts the path behind it as it is.
  expect((await registerDevice({ ...options, baseUrl: `${proxy.url}/` })).status).toBe(200);
}, 60_000);

test("a rotation without an overlap closes the sockets that the old secret opened, and leaves those of the new secret open", async () => {
  const leaked = await proxy.createKey({ scopes: ["connect"] });
  const options = { baseUrl: proxy.url, deviceId: "rotated" };
  const device = await connectScriptedDevice({ ...options, apiKey: leaked });
  const id = await onlyKeyId();
  const rotated = (await runLettaProxy(["keys", "rotate", id, "--overlap", "1h", "--data-dir", dataDir])).stdout.trim();
  await device.ping();
  const other = await connectScriptedDevice({ ...options, deviceId: "other", apiKey: rotated });
  const newest = await runLettaProxy(["keys", "rotate", id, "--overlap", "0s", "--data-dir", dataDir]);
  expect(await Promise.all([device.closed, other.closed])).toEqual([1008, 1008]);
  const again = await connectScriptedDevice({ ...options, apiKey: newest.stdout.trim() });
  await again.ping();
  await again.close();
  expect((await registerDevice({ ...options, apiKey: leaked })).status).toBe(401);
}, 60_000);

test("a real device that is disconnected for a limit waits for the requested time, and then reconnects", async () => {
  const relay = await createRelay(proxy.url);
  const deviceKey = await proxy.createKey({ scopes: ["connect"] });
  const device = await launchDevice({ baseUrl: relay.url, apiKey: deviceKey, deviceId: "limited" });
  await proxy.process.waitForOutput(/"event":"device_connected"/);
  const queue = Array.from({ length: 1_001 }, () => ({}));
  const runtime = { agent_id: "agent-1", conversation_id: "default" };
  const startedAt = performance.now();
  relay.sendAsDevice({ type: "update_queue", runtime, queue });
  await proxy.process.waitForOutput(
    /"event":"device_disconnected".*"reason":"limit_exceeded"[^]*"event":"device_connected"/,
  );
  expect(performance.now() - startedAt).toBeGreaterThan(900);
  const registrations = relay.requests.filter(({ method }) => method === "POST").map(({ status }) => status);
  expect(registrations).toEqual([200, 429, 200]);
  await device.kill();
  await relay.close();
}, 60_000);
