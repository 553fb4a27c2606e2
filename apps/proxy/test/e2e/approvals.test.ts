/** A real device that requests permission to run a command, and receives the decision of a client. */
import { createClient } from "@letta-environments/client";
import {
  createRelay,
  demoAgentId,
  launchDevice,
  type LaunchedDevice,
  type LaunchedProxy,
  launchProxy,
  type Relay,
} from "@letta-environments/testkit";
import { afterAll, beforeAll, expect, test } from "vitest";

let proxy: LaunchedProxy;
let relay: Relay;
let device: LaunchedDevice;

beforeAll(async () => {
  proxy = await launchProxy();
  relay = await createRelay(proxy.url);
  const apiKey = await proxy.createKey({ scopes: ["connect"] });
  device = await launchDevice({ baseUrl: relay.url, apiKey, deviceId: "device-asks", asksPermission: true });
  await proxy.process.waitForOutput(/"event":"device_connected"/);
}, 60_000);

afterAll(async () => {
  await device?.kill();
  await relay?.close();
  await proxy?.stop();
}, 30_000);

test("an approval by a client makes the device run the command once, and a repeat has no effect", async () => {
  const apiKey = await proxy.createKey({ scopes: ["read", "send", "approve"] });
  const { environments } = createClient({ baseUrl: proxy.url, apiKey });
  const { connectionId } = await environments.retrieve("device-asks");
  const send = (message: unknown): Promise<unknown> =>
    environments.sendMessage(connectionId ?? "", { agentId: demoAgentId, messages: [message as never] });
  await send({ role: "user", content: "Read $TRANSCRIPT_PATH" });
  const request = await relay.fromDevice.waitFor((frame) => frame.type === "control_request");
  const toolCallId = String(request["request_id"]).replace(/^perm-/, "");
  const approval = { type: "approval", approvals: [{ approve: true, tool_call_id: toolCallId }] };
  expect(await send(approval)).toMatchObject({ success: true });
  await relay.fromDevice.waitFor((frame) => frame.type === "turn_finished");
  expect(await send(approval)).toMatchObject({ success: true });
  const text = JSON.stringify(relay.fromDevice.frames);
  expect(text.match(/"message_type":"client_tool_start"/g)).toHaveLength(1);
  expect(JSON.stringify(relay.fromServer.frames).match(/"kind":"approval_response"/g)).toHaveLength(1);
}, 60_000);

test("a decision about a tool call that is not pending is 409 with the device's reason", async () => {
  const apiKey = await proxy.createKey({ scopes: ["read", "send", "approve"] });
  const { environments } = createClient({ baseUrl: proxy.url, apiKey });
  const { connectionId } = await environments.retrieve("device-asks");
  const approval = { type: "approval" as const, approvals: [{ approve: false, tool_call_id: "call-unknown" }] };
  const sent = environments.sendMessage(connectionId ?? "", { agentId: demoAgentId, messages: [approval] });
  await expect(sent).rejects.toMatchObject({ status: 409, message: expect.stringContaining("no longer pending") });
}, 60_000);
