import { createRelay, demoAgentId, launchDevice, type LaunchedDevice, type Relay } from "@letta-environments/testkit";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import type { LaunchedGateway, RuntimeLauncher } from "../launcher.ts";
import { ask } from "../use-gateway.ts";

/** The real Letta Code program as a device of the embedded environment server. */
export function describeRealDevice(launcher: RuntimeLauncher): void {
  let gateway: LaunchedGateway;
  let relay: Relay;
  let device: LaunchedDevice;
  let callerKey = "";

  beforeAll(async () => {
    gateway = await launcher.launch({ config: {}, environment: {} });
    ({ key: callerKey } = await gateway.createKey({ scopes: ["list", "read", "send"] }));
    const { key: apiKey } = await gateway.createKey({ scopes: ["connect"] });
    relay = await createRelay(gateway.url);
    device = await launchDevice({ baseUrl: relay.url, apiKey, deviceId: "real-device" });
  });
  afterAll(async () => {
    await device.stop();
    await relay.close();
    await gateway.stop();
  });

  test("a message reaches the real device, and the reply of its agent comes back on the socket", async () => {
    const connectionId = await vi.waitUntil(
      async () => (await ask(gateway.url, "/v1/environments/real-device", { key: callerKey })).json["connectionId"],
      { timeout: 30_000, interval: 100 },
    );
    const answer = await ask(gateway.url, `/v1/environments/${String(connectionId)}/messages`, {
      key: callerKey,
      body: { agentId: demoAgentId, messages: [{ role: "user", content: "ping", client_message_id: "real-1" }] },
    });
    expect([answer.status, answer.json["success"]]).toEqual([200, true]);
    await relay.fromDevice.waitFor((frame) => frame.type === "turn_finished");
    const said = relay.fromDevice.frames.filter(({ type }) => type === "stream_delta");
    expect(JSON.stringify(said)).toContain("pong");
  });
}
