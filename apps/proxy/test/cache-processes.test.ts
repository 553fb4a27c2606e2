/** The cache in front of the embedded environment server, with devices on real sockets. */
import type { Environment, EnvironmentList } from "@letta-environments/schema";
import { connectScriptedDevice, launchProxy, type LaunchedProxy } from "@letta-environments/testkit";
import { afterEach, expect, test, vi } from "vitest";

vi.setConfig({ testTimeout: 60_000 });

const proxies: LaunchedProxy[] = [];

afterEach(async () => {
  for (const proxy of proxies.splice(0)) await proxy.stop();
});

async function ask(proxy: LaunchedProxy, key: string, path = ""): Promise<{ status: string; body: unknown }> {
  const response = await fetch(`${proxy.url}/v1/environments${path}`, { headers: { authorization: `Bearer ${key}` } });
  return { status: response.headers.get("cache-status") ?? "", body: await response.json() };
}

test("a change of a device is visible at once although a fresh response is cached, and unchanged responses come from the cache", async () => {
  const proxy = await launchProxy();
  proxies.push(proxy);
  const caller = await proxy.createKey({ scopes: ["list", "read", "send"] });
  const connect = await proxy.createKey({ scopes: ["connect"] });
  expect((await ask(proxy, caller)).body).toMatchObject({ connections: [] });
  expect((await ask(proxy, caller)).status).toContain("letta-gateway; hit");

  const device = await connectScriptedDevice({ baseUrl: proxy.url, apiKey: connect, deviceId: "device-1" });
  const { connections } = (await ask(proxy, caller)).body as EnvironmentList;
  expect(connections).toMatchObject([{ deviceId: "device-1", connectionId: device.connectionId }]);
  expect((await ask(proxy, caller, "/device-1")).body).toMatchObject({ connectionId: device.connectionId });
  expect((await ask(proxy, caller, "/device-1")).status).toContain("letta-gateway; hit");

  for (const mode of ["standard", "acceptEdits", "unrestricted", "standard"]) {
    device.send({ type: "update_device_status", device_status: { current_permission_mode: mode } });
    // Its pong shows that the gateway has read the status.
    await device.ping();
    expect((await ask(proxy, caller, "/device-1")).body).toMatchObject({ currentMode: mode });
    expect((await ask(proxy, caller)).body).toMatchObject({ connections: [{ currentMode: mode }] });
  }

  const gone = proxy.process.waitForOutput(/"event":"device_disconnected"/);
  await device.close();
  await gone;
  expect(((await ask(proxy, caller, "/device-1")).body as Environment).connectionId).toBeNull();
});
