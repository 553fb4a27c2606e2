/** A real device of version 0.30.28: it enrols, runs a message to its end, and asks for permissions that a client decides on. */
import { createClient } from "@letta-environments/client";
import {
  createFakeAgentsApi,
  createRelay,
  demoAgentId,
  type FakeAgentsApi,
  launchDevice,
  type LaunchedDevice,
  type LaunchedProxy,
  launchProxy,
  type Relay,
} from "@letta-environments/testkit";
import { afterAll, beforeAll, expect, test } from "vitest";

const deviceId = "device-0.30.28";
let proxy: LaunchedProxy;
let agents: FakeAgentsApi;
let relay: Relay;
let device: LaunchedDevice;
let apiKey: string;

beforeAll(async () => {
  [proxy, agents] = await Promise.all([launchProxy(), createFakeAgentsApi()]);
  relay = await createRelay(proxy.url, {
    targetOf: (path) => (path.startsWith("/v1/environments") ? null : agents.url),
  });
  const connectKey = await proxy.createKey({ scopes: ["connect"] });
  apiKey = await proxy.createKey({ scopes: ["list", "read", "send", "view", "approve"] });
  device = await launchDevice({
    baseUrl: relay.url,
    apiKey: connectKey,
    deviceId,
    connectionName: "older box",
    asksPermission: true,
    backend: "api",
    version: "0.30.28",
  });
  await proxy.process.waitForOutput(/"event":"device_connected"/);
}, 60_000);

afterAll(async () => {
  await device?.kill();
  await relay?.close();
  await agents?.close();
  await proxy?.stop();
}, 60_000);

const client = () => createClient({ baseUrl: proxy.url, apiKey }).environments;

async function send(id: string, content: string): Promise<string> {
  const { connectionId } = await client().retrieve(deviceId);
  const message = { role: "user" as const, content, client_message_id: id };
  const body = { agentId: demoAgentId, messages: [message] };
  expect(await client().sendMessage(connectionId ?? "", body)).toMatchObject({ success: true });
  return connectionId ?? "";
}

test("an older device is listed with its name and version", async () => {
  expect((await client().list()).connections).toMatchObject([
    { deviceId, connectionName: "older box", metadata: { lettaCodeVersion: "0.30.28" } },
  ]);
});

test("a message to an older device is acknowledged, and its status has the outcome and the text of the turn", async () => {
  const connectionId = await send("m-1", "ping");
  const status = await client().messages.retrieve(connectionId, "m-1", { wait: "finished", waitSeconds: 30 });
  expect(status).toMatchObject({ state: "finished", stopReason: "end_turn", text: "pong" });
}, 60_000);

test.each([
  ["allowed", true, "done: made"],
  ["denied", false, "denied"],
])(
  "a request for permission of an older device is listed, and when it is %s the turn continues accordingly",
  async (word, approve, text) => {
    const connectionId = await send(`m-${word}`, `run touch ${word}.txt && echo made`);
    await expect
      .poll(async () => (await client().approvals.list()).approvals, { timeout: 20_000 })
      .toMatchObject([{ deviceId, tool: "Bash", clientMessageId: `m-${word}` }]);
    expect(await client().messages.retrieve(connectionId, `m-${word}`)).toMatchObject({
      state: "waiting_for_approval",
    });
    const [{ id } = { id: "" }] = (await client().approvals.list()).approvals;
    const decision = { approve, tool_call_id: id, ...(!approve && { reason: "Not on this machine" }) };
    await client().sendMessage(connectionId, {
      agentId: demoAgentId,
      messages: [{ type: "approval", approvals: [decision] }],
    });
    const status = await client().messages.retrieve(connectionId, `m-${word}`, { wait: "finished", waitSeconds: 30 });
    expect(status).toMatchObject({ state: "finished", text: expect.stringContaining(text) });
    expect((await client().approvals.list()).approvals).toEqual([]);
  },
  60_000,
);
