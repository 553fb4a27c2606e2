/** A message from a shell reaches the agent of a real Letta Code device. */
import { createRelay, demoAgentId, launchDevice, type LaunchedDevice, type Relay } from "@letta-environments/testkit";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Gateway, launchGateway } from "./support/gateway.ts";
import { runCli } from "./support/run-cli.ts";

let gateway: Gateway;
let relay: Relay;
let device: LaunchedDevice;

beforeAll(async () => {
  gateway = await launchGateway();
  relay = await createRelay(gateway.proxy.url);
  const options = { baseUrl: relay.url, apiKey: gateway.deviceKey };
  device = await launchDevice({ ...options, deviceId: "device-cli", connectionName: "real box" });
  await gateway.proxy.process.waitForOutput(/"event":"device_connected"/);
});

afterAll(async () => {
  await device?.kill();
  await relay?.close();
  await gateway?.proxy.stop();
});

test("a message sent to a device by name runs on it, and its agent replies", async () => {
  const { code, stdout } = await runCli(["send", "real box", "--agent", demoAgentId, "ping"], { env: gateway.env });
  expect(code).toBe(0);
  expect(stdout).toMatch(/^started\t[0-9a-f-]{36}\tdevice-cli\n$/);
  await relay.fromDevice.waitFor(({ type }) => type === "turn_finished");
  const answer = relay.fromDevice.frames.filter(({ type }) => type === "stream_delta");
  expect(JSON.stringify(answer)).toContain("pong");
  expect((await runCli(["get", "real box"], { env: gateway.env })).stdout).toContain("currentMode\tunrestricted\n");
});
