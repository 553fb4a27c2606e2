/** The command that `letta-proxy devices invite` prints, run with the real Letta Code device. */
import { hostname } from "node:os";
import { createClient } from "@letta-environments/client";
import {
  type LaunchedDevice,
  launchDeviceWith,
  type LaunchedProxy,
  launchProxy,
  runLettaProxy,
} from "@letta-environments/testkit";
import { afterAll, beforeAll, expect, test } from "vitest";

let proxy: LaunchedProxy;
const devices: LaunchedDevice[] = [];

beforeAll(async () => {
  proxy = await launchProxy();
}, 60_000);

afterAll(async () => {
  for (const device of devices) await device.kill();
  await proxy?.stop();
}, 60_000);

async function invite(...words: string[]): Promise<string> {
  const { stdout } = await runLettaProxy([
    "devices",
    "invite",
    ...words,
    "--gateway",
    proxy.url,
    "--data-dir",
    proxy.dataDir,
  ]);
  expect(stdout).toMatch(/^LETTA_BASE_URL=[^\n]* npx -y @letta-ai\/letta-code@[\d.]+ server [^\n]*\n$/);
  return stdout.trim();
}

async function launch(command: string, deviceId: string): Promise<LaunchedDevice> {
  const device = await launchDeviceWith({ command, deviceId });
  devices.push(device);
  return device;
}

test("the first device that runs the command appears with its tag, and a second one is refused", async () => {
  const command = await invite("--tag", "ci", "--name", "build box", "--expires", "10m");
  await launch(command, "device-first");
  await proxy.process.waitForOutput(/"event":"device_connected"/);

  const apiKey = await proxy.createKey({ scopes: ["list", "read"], more: ["--tag", "ci"] });
  const { environments } = createClient({ baseUrl: proxy.url, apiKey });
  const { connections } = await environments.list({ tag: "ci", onlineOnly: true });
  expect(connections).toMatchObject([{ deviceId: "device-first", connectionName: "build box", tags: ["ci"] }]);

  const second = await launch(command, "device-second");
  expect((await second.process.exited).code).toBe(1);
  expect(second.process.output()).toContain("The gateway key may not enrol this device.");
  expect((await environments.list()).connections).toHaveLength(1);
}, 60_000);

test("without a name the device uses its host name, and its invitation stays valid after a restart", async () => {
  const command = await invite();
  const device = await launch(command, "device-unnamed");
  await proxy.process.waitForOutput(/"event":"device_connected"[^\n]*"deviceId":"device-unnamed"/);
  const apiKey = await proxy.createKey({ scopes: ["read"] });
  const named = await createClient({ baseUrl: proxy.url, apiKey }).environments.retrieve("device-unnamed");
  expect(named.connectionName).toBe(hostname());
  await device.process.stop();
  await proxy.process.waitForOutput(/"event":"device_disconnected"[^\n]*"deviceId":"device-unnamed"/);
  const again = await launch(command, "device-unnamed");
  expect(await again.process.waitForOutput(/Connected\. Awaiting instructions\./)).not.toBeNull();
}, 60_000);
