/** An MCP client of the official SDK sends messages to a real Letta Code device and answers its requests for permission. */
import { demoAgentId, launchDevice, type LaunchedDevice } from "@letta-environments/testkit";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { type Gateway, launchGateway } from "../support/gateway.ts";
import { connectMcpClient, type McpClient } from "../support/mcp-client.ts";

vi.setConfig({ testTimeout: 90_000, hookTimeout: 90_000 });

let gateway: Gateway;
let device: LaunchedDevice;
let mcp: McpClient;

beforeAll(async () => {
  gateway = await launchGateway();
  device = await launchDevice({
    ...{ baseUrl: gateway.proxy.url, apiKey: gateway.deviceKey },
    ...{ deviceId: "device-mcp", connectionName: "real box", asksPermission: true },
  });
  await gateway.proxy.process.waitForOutput(/"event":"device_connected"/);
  const apiKey = await gateway.proxy.createKey({ scopes: ["list", "read", "send", "view", "approve"] });
  mcp = await connectMcpClient({ ...gateway.env, LETTA_API_KEY: apiKey });
});
afterAll(async () => {
  await mcp?.close();
  await device?.kill();
  await gateway?.proxy.stop();
});

const send = (message: string) => mcp.call("send_message", { device: "real box", agentId: demoAgentId, message });

test("send_message returns the reply of the agent", async () => {
  expect((await send("ping")).output).toMatchObject({
    deviceId: "device-mcp",
    turn: { outcome: "finished", state: "finished", reply: "pong", error: null },
  });
});

test("send_message ends early when the turn waits for permission, and answer_approval for that request lets it continue", async () => {
  const sent = (await send("run $TRANSCRIPT_PATH")).output;
  expect(sent).toMatchObject({ turn: { outcome: "unfinished", state: "waiting_for_approval" } });
  const { approvals } = (await mcp.call("list_approvals", { deviceId: "device-mcp" })).output;
  expect(approvals).toEqual([
    expect.objectContaining({ tool: "Bash", online: true, agentId: demoAgentId, messageId: sent["messageId"] }),
  ]);
  const [{ id, requestedAt }] = approvals as [{ id: string; requestedAt: string }];
  const other = await mcp.call("answer_approval", { id, decision: "allow", requestedAt: "1970-01-01T00:00:00.001Z" });
  expect(other).toMatchObject({
    isError: true,
    text: expect.stringContaining("this id now belongs to another request"),
  });
  const answered = await mcp.call("answer_approval", { id, decision: "allow", requestedAt });
  expect(answered.output).toEqual({ decision: "allow", id, tool: "Bash", deviceId: "device-mcp" });
  const { connectionId, messageId } = sent;
  const ended = await mcp.call("message_status", { connectionId, messageId, waitSeconds: 60 });
  expect(ended.output).toMatchObject({ outcome: "finished", reply: expect.stringContaining("inspected") });
  const late = await mcp.call("answer_approval", { id, decision: "deny", requestedAt });
  expect(late).toMatchObject({ isError: true, text: expect.stringContaining("no such request waits") });
});
