import type { Principal } from "@letta-environments/schema";
import { expect, test } from "vitest";
import { anyone, type Answer, createHarness, type Harness } from "./support/harness.ts";

const path = "/v1/environments/runtimes/agent-1/default/last";

/** Two devices, on which the conversation runs one after the other. */
async function setUp(): Promise<Harness> {
  const harness = createHarness();
  for (const deviceId of ["d-1", "d-2"]) {
    const { connectionId, socket } = await harness.connect(deviceId);
    await harness.clock.advance(1_000);
    const body = {
      agentId: "agent-1",
      messages: [{ client_message_id: deviceId, role: "user", content: "x" } as const],
    };
    const sending = harness.send(connectionId, body);
    await harness.settle();
    socket.acknowledge();
    expect((await sending).status).toBe(200);
  }
  return harness;
}

function last({ call }: Harness, members: Partial<Principal> = {}, target = path): Promise<Answer> {
  return call("GET", target, { principal: { ...anyone, ...members } });
}

test("the device that accepted a message of the conversation last is shown with its state", async () => {
  const harness = await setUp();
  const { body } = await last(harness);
  expect(body).toEqual({
    environmentId: expect.stringMatching(/^env-/),
    deviceId: "d-2",
    connectionName: "name of d-2",
    metadata: null,
    status: "online",
    isOnline: true,
    lastSeenAt: expect.any(Number),
    lastUsedAt: expect.any(Number),
    source: "environment",
  });
  await harness.clock.advance(130_000);
  expect((await last(harness)).body).toMatchObject({ status: "offline", isOnline: false });
});

test("a principal sees the last device that it may use", async () => {
  const harness = await setUp();
  expect((await last(harness, { deviceIds: ["d-1"] })).body).toMatchObject({ deviceId: "d-1" });
  expect((await last(harness, { connectionNames: ["*d-1"] })).body).toMatchObject({ deviceId: "d-1" });
});

test("an unknown conversation and inaccessible agents or devices are the same 404", async () => {
  const harness = await setUp();
  const unknown = await last(harness, {}, "/v1/environments/runtimes/agent-1/other/last");
  expect(unknown).toMatchObject({ status: 404, body: { errorCode: "environment_not_found" } });
  expect(await last(harness, { deviceIds: ["d-9"] })).toEqual(unknown);
  expect(await last(harness, { deviceTags: ["ci"] })).toEqual(unknown);
  expect(await last(harness, { agentIds: ["agent-2"] })).toEqual(unknown);
  expect((await last(harness, { agentIds: ["agent-1"] })).status).toBe(200);
  expect(await last(harness, { tenant: "other" })).toEqual(unknown);
  for (const deviceId of ["d-1", "d-2"]) await harness.server.devices.remove("acme", deviceId, () => true);
  expect(await last(harness)).toEqual(unknown);
});

test.each([
  ["agent 1/ü", "events"],
  ["register", "a?b#c%2F"],
  ["x".repeat(256), "漢字"],
])("the agent %s and the conversation %s of a send can be read, percent-encoded", async (agentId, conversationId) => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("d-1");
  const message = { client_message_id: "m-1", role: "user", content: "x" } as const;
  const sending = harness.send(connectionId, { agentId, conversationId, messages: [message] });
  await harness.settle();
  socket.acknowledge();
  expect((await sending).status).toBe(200);
  const [agent = "", conversation = ""] = [agentId, conversationId].map(encodeURIComponent);
  const found = await last(harness, {}, `/v1/environments/runtimes/${agent}/${conversation}/last`);
  expect(found.body).toMatchObject({ deviceId: "d-1" });
});

test("the scope read is needed, and the install path is hidden without the scope details", async () => {
  const harness = await setUp();
  expect((await last(harness, { scopes: new Set(["list", "send"]) })).status).toBe(403);
  const metadata = { self_update: { supported: true, writable: true, install_path: "/home/ada" } };
  await harness.call("POST", "/v1/environments/register", { body: { deviceId: "d-2", connectionName: "x", metadata } });
  expect(JSON.stringify((await last(harness)).body)).toContain("/home/ada");
  expect(JSON.stringify((await last(harness, { scopes: new Set(["read"]) })).body)).not.toContain("/home/ada");
});
