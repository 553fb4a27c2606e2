/** Requests for permission: how they are listed, who sees them, and when they end. */
import type { Principal } from "@letta-environments/schema";
import { openSqlite } from "@letta-environments/platform/node";
import { createVirtualClock } from "@letta-environments/testkit";
import { describe, expect, test } from "vitest";
import { createSqliteEnvironmentStore } from "../src/sqlite.ts";
import { listen, settleEvents } from "./support/event-streams.ts";
import type { FakeSocket } from "./support/fake-socket.ts";
import {
  type Answer,
  anyone,
  createHarness,
  type Harness,
  toRequest,
  userMessage,
  withApprove,
} from "./support/harness.ts";
import { connectReplayed, replayedScope } from "./support/replay.ts";

const runtime = { agent_id: "agent-1", conversation_id: "default" };

async function list(harness: Harness, principal: Principal = withApprove, query = ""): Promise<Answer> {
  return harness.call("GET", "/v1/environments/approvals", { principal, query });
}

async function listedIds(harness: Harness, principal?: Principal, query?: string): Promise<unknown[]> {
  const { body } = await list(harness, principal, query);
  return (body["approvals"] as { id: unknown }[]).map(({ id }) => id);
}

function decide(harness: Harness, connectionId: string, toolCallId: string, approve: boolean, principal = withApprove) {
  const approvals = [{ approve, tool_call_id: toolCallId }];
  const body = { agentId: "agent-1", messages: [{ type: "approval", approvals }] };
  return harness.call("POST", `/v1/environments/${connectionId}/messages`, { body, principal });
}

/** Reports the status of the conversation with these pending requests. */
function reportPending(socket: FakeSocket, toolCallIds: readonly string[]): void {
  const pending_control_requests = toolCallIds.map((id) => ({
    request_id: `perm-${id}`,
    request: { subtype: "can_use_tool", tool_name: "Bash", tool_call_id: id, input: {} },
  }));
  socket.say({ type: "update_device_status", runtime, device_status: { pending_control_requests } });
}

describe("the list of approval requests", () => {
  test("the list contains the tool, input, suggestions, age and causing message of a real device's request", async () => {
    const harness = createHarness();
    const { connectionId, replay } = await connectReplayed(harness, "0.32.18-approval-and-abort");
    const sent = harness.send(connectionId, { ...replayedScope, messages: [userMessage("m-1")] });
    await harness.settle();
    replay();
    await sent;
    await harness.clock.advance(2_500);
    expect((await list(harness)).body).toEqual({
      approvals: [
        {
          id: "tool-call-reflection-read-1",
          connectionId,
          deviceId: "device-recorded",
          ...replayedScope,
          tool: "Bash",
          input: expect.objectContaining({ description: "Read the reflection transcript payload", login: false }),
          inputTruncated: false,
          reason: null,
          suggestions: [{ id: "save-default", text: expect.stringMatching(/^Yes, and don't ask again/) }],
          requestedAt: expect.any(Number),
          ageMs: 2_500,
          expiresAt: null,
          clientMessageId: "m-1",
        },
      ],
      hasNextPage: false,
      cursor: expect.stringMatching(/^\d+\.[0-9a-f]{24}$/),
    });
  });

  test("the list is ordered by age over all devices, and paged by its cursor", async () => {
    const harness = createHarness();
    const sockets = [await harness.connect("device-1"), await harness.connect("device-2")];
    for (const id of ["call-1", "call-2", "call-3", "call-4", "call-5"]) {
      sockets[Number(id.at(-1)) % 2]?.socket.ask(id);
      await harness.clock.advance(id === "call-3" ? 0 : 10);
    }
    const pages: unknown[] = [];
    for (let cursor: string | null = null; ;) {
      const { body } = await list(harness, withApprove, `limit=2${cursor === null ? "" : `&after=${cursor}`}`);
      pages.push((body["approvals"] as { id: string }[]).map(({ id }) => id));
      cursor = body["cursor"] as string | null;
      if (body["hasNextPage"] !== true) break;
    }
    expect(pages.map((page) => (page as string[]).length)).toEqual([2, 2, 1]);
    const ids = pages.flat() as string[];
    expect(ids.slice(0, 2)).toEqual(["call-1", "call-2"]);
    // Two of the same millisecond are in any order, and neither is missed.
    expect(ids.slice(2, 4).toSorted()).toEqual(["call-3", "call-4"]);
    expect((await list(harness, withApprove, "after=env-1")).status).toBe(400);
    expect(await list(harness, withApprove, "after=1.0")).toMatchObject({
      status: 400,
      body: { errors: [{ member: "after" }] },
    });
  });

  test("the list needs the scope approve, and contains only devices, agents and modes that the key may access", async () => {
    const harness = createHarness();
    const { socket } = await harness.connect("device-1");
    socket.ask("call-1");
    await harness.clock.advance(1);
    socket.ask("call-2", {}, "agent-2");
    expect((await list(harness, anyone)).status).toBe(403);
    expect(await listedIds(harness)).toEqual(["call-1", "call-2"]);
    expect(await listedIds(harness, { ...withApprove, tenant: "other" })).toEqual([]);
    expect(await listedIds(harness, { ...withApprove, deviceIds: ["device-2"] })).toEqual([]);
    expect(await listedIds(harness, { ...withApprove, connectionNames: ["name of *"] })).toEqual(["call-1", "call-2"]);
    expect(await listedIds(harness, { ...withApprove, agentIds: ["agent-2"] })).toEqual(["call-2"]);
    const strict: Principal = { ...withApprove, maxMode: "standard" };
    const report = (agent_id: string, current_permission_mode: string) =>
      socket.say({
        type: "update_device_status",
        runtime: { ...runtime, agent_id },
        device_status: { current_permission_mode },
      });
    // A decision asks the device for a mode that is not known.
    expect(await listedIds(harness, strict)).toEqual(["call-1", "call-2"]);
    report("agent-1", "unrestricted");
    // The mode of one conversation says nothing about another.
    expect(await listedIds(harness, strict)).toEqual(["call-2"]);
    report("agent-2", "a mode of a later version");
    expect(await listedIds(harness, strict)).toEqual([]);
    report("agent-1", "standard");
    expect(await listedIds(harness, strict)).toEqual(["call-1"]);
  });

  test("the list matches the name of a device once, however many requests it has", async () => {
    const harness = createHarness();
    const { socket } = await harness.connect("device-1");
    for (let call = 1; call <= 20; call++) socket.ask(`call-${call}`);
    let matched = 0;
    const patterns = ["name of *"];
    const some = patterns.some.bind(patterns);
    Object.assign(patterns, { some: (...values: Parameters<typeof some>) => (matched++, some(...values)) });
    expect(await listedIds(harness, { ...withApprove, connectionNames: patterns })).toHaveLength(20);
    expect(matched).toBe(1);
  });

  test("rows show the number of waiting requests to keys that may decide", async () => {
    const harness = createHarness();
    const { socket } = await harness.connect("device-1");
    const shown = async (principal: Principal): Promise<unknown> =>
      (await harness.call("GET", "/v1/environments/device-1", { principal })).body["pendingApprovals"];
    expect(await shown(withApprove)).toBeUndefined();
    socket.ask("call-1");
    socket.ask("call-2", {}, "agent-2");
    expect(await shown(withApprove)).toBe(2);
    expect(await shown({ ...withApprove, agentIds: ["agent-1"] })).toBe(1);
    expect(await shown(anyone)).toBeUndefined();
    reportPending(socket, []);
    expect(await shown(withApprove)).toBe(1);
  });

  test("the server counts the requests of every device that wait for a decision, and after a restart the stored ones", async () => {
    const store = createSqliteEnvironmentStore(openSqlite(":memory:"));
    const harness = createHarness({ store });
    const first = await harness.connect("device-1");
    const second = await harness.connect("device-2");
    for (const { socket } of [first, second]) socket.ask("call-1");
    expect(harness.server.pendingApprovals()).toBe(2);
    const decided = decide(harness, first.connectionId, "call-1", true);
    await harness.settle();
    expect(harness.server.pendingApprovals()).toBe(1);
    first.socket.acknowledge();
    await decided;
    await harness.server.close();
    const after = createHarness({ store });
    await after.settle();
    expect(after.server.pendingApprovals()).toBe(1);
  });

  test("rows do not count requests in a conversation whose mode exceeds the key's maximum, just as the list omits them", async () => {
    const harness = createHarness();
    const { socket } = await harness.connect("device-1");
    const strict: Principal = { ...withApprove, maxMode: "standard" };
    const shown = async (): Promise<unknown> =>
      (await harness.call("GET", "/v1/environments/device-1", { principal: strict })).body["pendingApprovals"];
    socket.ask("call-1");
    expect(await shown()).toBe(1);
    const device_status = { current_permission_mode: "unrestricted" };
    socket.say({ type: "update_device_status", runtime, device_status });
    expect(await listedIds(harness, strict)).toEqual([]);
    expect(await shown()).toBeUndefined();
  });
});

describe("the end of a request", () => {
  test("a request ends when the device no longer lists it, when its turn ends, and when the conversation is idle", async () => {
    const harness = createHarness();
    const { socket } = await harness.connect("device-1");
    const ends = [
      () => reportPending(socket, []),
      () => socket.say({ type: "turn_finished", runtime, stop_reason: "cancelled" }),
      () => socket.say({ type: "update_loop_status", runtime, loop_status: { status: "WAITING_ON_INPUT" } }),
    ];
    for (const end of ends) {
      socket.ask("call-1");
      expect(await listedIds(harness)).toEqual(["call-1"]);
      end();
      expect(await listedIds(harness)).toEqual([]);
    }
    expect(harness.events.filter(({ type }) => type.startsWith("approval_")).map(({ type }) => type)).toEqual(
      ends.flatMap(() => ["approval_requested", "approval_withdrawn"]),
    );
  });

  test("a request ends when a stop cancels the turn of a real device", async () => {
    const harness = createHarness();
    const { connectionId, replay } = await connectReplayed(harness, "0.32.18-approval-and-abort");
    for (const id of ["m-1", "m-2"]) {
      const sent = harness.send(connectionId, { ...replayedScope, messages: [userMessage(id)] });
      await harness.settle();
      replay();
      await sent;
    }
    expect(await listedIds(harness)).toHaveLength(1);
    replay();
    expect(await listedIds(harness)).toEqual([]);
  });

  test("a request ends with the first of two racing decisions; the other one receives 409 with the decision", async () => {
    const harness = createHarness();
    const { connectionId, socket } = await harness.connect("device-1");
    socket.ask("call-1");
    const first = decide(harness, connectionId, "call-1", true, { ...withApprove, keyId: "key-ada" });
    const second = decide(harness, connectionId, "call-1", false, { ...withApprove, keyId: "key-bob" });
    await harness.settle();
    expect(await listedIds(harness)).toEqual([]);
    // A real device lists the request no longer before it acknowledges the decision.
    reportPending(socket, []);
    socket.acknowledge({ accepted: true });
    expect((await first).status).toBe(200);
    const decided = {
      status: 409,
      body: {
        errorCode: "approval_decided",
        approval: { id: "call-1", tool: "Bash", decision: "allow", decidedBy: "key-ada", deviceId: "device-1" },
      },
    };
    expect(await second).toMatchObject(decided);
    // Also later, when the server has forgotten it.
    expect(await decide(harness, connectionId, "call-1", false)).toMatchObject(decided);
    expect(socket.inputs()).toHaveLength(1);
    expect(harness.events).toContainEqual(
      expect.objectContaining({
        type: "approval_decided",
        toolCallId: "call-1",
        decidedBy: "key-ada",
        behavior: "allow",
      }),
    );
  });
});

test("an unknown request is 404 and nothing is sent; on a device that the key cannot access it looks like an unknown connection", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  socket.ask("call-1");
  expect(await decide(harness, connectionId, "call-9", true)).toMatchObject({
    status: 404,
    body: { errorCode: "approval_not_found", errors: [{ member: "messages[0].approvals[0].tool_call_id" }] },
  });
  const elsewhere: Principal = { ...withApprove, deviceIds: ["device-2"] };
  const answers = await Promise.all([
    decide(harness, connectionId, "call-1", true, elsewhere),
    decide(harness, connectionId, "call-9", true, elsewhere),
    decide(harness, "conn-none", "call-1", true),
  ]);
  expect(answers.map(({ status }) => status)).toEqual([404, 404, 404]);
  expect(new Set(answers.map((answer) => JSON.stringify(answer.body))).size).toBe(1);
  expect(socket.inputs()).toEqual([]);
});

test("a body with decisions on several requests waits until the device makes the next request", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  socket.ask("call-1");
  const approvals = ["call-1", "call-2"].map((id) => ({ approve: true, tool_call_id: id }));
  const body = { agentId: "agent-1", messages: [{ type: "approval", approvals }] };
  const sent = harness.call("POST", `/v1/environments/${connectionId}/messages`, { body, principal: withApprove });
  await harness.settle();
  socket.acknowledge({ accepted: true });
  await harness.clock.advance(1_000);
  expect(socket.inputs()).toHaveLength(1);
  socket.ask("call-2");
  await harness.settle();
  socket.acknowledge({ accepted: true });
  expect((await sent).status).toBe(200);
  expect(socket.inputs().map(({ payload }) => payload)).toMatchObject([
    { request_id: "perm-call-1" },
    { request_id: "perm-call-2" },
  ]);
});

test("a decision reaches a request of an older device, which lists it in its status and acknowledges nothing", async () => {
  const harness = createHarness();
  const metadata = { lettaCodeVersion: "0.25.3" };
  const connectionId = await harness.register("device-1", {
    body: { deviceId: "device-1", connectionName: "box", metadata },
  });
  const socket = await harness.open(connectionId);
  reportPending(socket, ["call-1"]);
  expect(await listedIds(harness)).toEqual(["call-1"]);
  const sent = decide(harness, connectionId, "call-1", true);
  await harness.settle();
  reportPending(socket, []);
  expect((await sent).status).toBe(200);
});

describe("requests that survive a disconnect", () => {
  test("pending requests survive a reconnect, after which the device is asked about their conversations", async () => {
    const harness = createHarness();
    const { connectionId, socket } = await harness.connect("device-1");
    socket.ask("call-1");
    socket.listener.onClose(1006);
    expect((await list(harness)).body["approvals"]).toMatchObject([{ id: "call-1", connectionId: null }]);
    const again = await harness.open(connectionId);
    await harness.settle();
    expect(again.frames).toMatchObject([{ type: "sync", runtime }]);
    expect((await list(harness)).body["approvals"]).toMatchObject([{ id: "call-1", connectionId }]);
    again.say({ type: "update_loop_status", runtime, loop_status: { status: "WAITING_ON_INPUT" } });
    expect(await listedIds(harness)).toEqual([]);
  });

  test("pending requests survive a restart of the server, with their age, are requested in events again, and can be decided after it", async () => {
    const clock = createVirtualClock();
    const store = createSqliteEnvironmentStore(openSqlite(":memory:"));
    const before = createHarness({ clock, store });
    const { connectionId, socket } = await before.connect("device-1");
    socket.ask("call-1", { input: { command: "ls" } });
    await clock.advance(1);
    socket.ask("call-2");
    await clock.advance(4_999);
    await before.server.close();
    const after = createHarness({ clock, store });
    await clock.advance(5_000);
    expect((await list(after)).body["approvals"]).toMatchObject([
      { id: "call-1", ageMs: 10_000, input: { command: "ls" }, connectionId: null },
      { id: "call-2" },
    ]);
    const { events } = await listen(after, { principal: withApprove });
    const again = await after.open(connectionId);
    for (let count = 0; count < 2; count += 1) again.ask("call-1", { input: { command: "ls" } });
    await settleEvents(after);
    const approvals = events.filter(({ type }) => type === "approval").map(({ data }) => data);
    expect(approvals).toMatchObject([{ change: "requested", approval: { id: "call-1" } }]);
    const sent = decide(after, connectionId, "call-1", true);
    await after.settle();
    again.acknowledge({ accepted: true });
    expect((await sent).status).toBe(200);
    expect(await listedIds(after)).toEqual(["call-2"]);
  });

  test("a request whose decision was lost with the connection can be decided again when the device asks again", async () => {
    const harness = createHarness();
    const { connectionId, socket } = await harness.connect("device-1");
    socket.ask("call-1");
    const lost = decide(harness, connectionId, "call-1", true);
    await harness.settle();
    socket.listener.onClose(1006);
    expect((await lost).status).toBe(504);
    const again = await harness.open(connectionId);
    // Until then nobody knows whether the first decision had its effect.
    expect((await decide(harness, connectionId, "call-1", false)).status).toBe(409);
    again.ask("call-1");
    expect(await listedIds(harness)).toEqual(["call-1"]);
    const sent = decide(harness, connectionId, "call-1", false);
    await harness.settle();
    again.acknowledge({ accepted: true });
    expect((await sent).status).toBe(200);
    expect(again.inputs()).toMatchObject([{ payload: { decision: { behavior: "deny" } } }]);
  });
});

test("a device's requests beyond a limit are not remembered, but can still be decided", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  for (let call = 0; call < 150; call += 1) socket.ask(`call-${call}`);
  expect(await listedIds(harness, withApprove, "limit=100")).toHaveLength(100);
  expect((await list(harness, withApprove, "limit=100")).body["hasNextPage"]).toBe(false);
  const sent = decide(harness, connectionId, "call-149", true);
  await harness.settle();
  socket.acknowledge({ accepted: true });
  expect((await sent).status).toBe(200);
});

test("a path with the reserved word approvals is never a device", async () => {
  const { server } = createHarness();
  const response = await server.handle(toRequest("GET", "/v1/environments/approvals"), anyone, { authority: null });
  expect(response.status).toBe(403);
});
