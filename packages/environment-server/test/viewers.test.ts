import type { Principal, Scope } from "@letta-environments/schema";
import { createRandom, type Random } from "@letta-environments/testkit";
import { describe, expect, test } from "vitest";
import { maxMessageWaitMs, viewerCheckIntervalMs } from "../src/limits.ts";
import { viewerFrameTypes } from "../src/viewers/scopes.ts";
import { anyone, createHarness, type Harness } from "./support/harness.ts";
import * as support from "./support/viewer.ts";

const everyScope: readonly Scope[] = ["read", "send", "view", "approve", "control", "files", "terminal", "manage"];
const operator: Principal = { ...anyone, scopes: new Set(everyScope) };
const runtime = { agent_id: "agent-1", conversation_id: "default" };

const openViewer = (harness: Harness, connectionId: string, principal = operator, query = "") =>
  support.openViewer(harness, connectionId, principal, query);
const watch = (harness: Harness, connectionId: string, principal = operator, query = "") =>
  support.watchDevice(harness, connectionId, principal, query);

describe("the upgrade of a viewer", () => {
  test("the upgrade of a viewer is refused like a send: inaccessible devices are not found, offline and replaced ones are reported", async () => {
    const harness = createHarness();
    const { connectionId, socket } = await harness.connect("device-1");
    expect([
      await openViewer(harness, connectionId, { ...operator, scopes: new Set(["read", "send"] as const) }),
      await openViewer(harness, connectionId, { ...operator, tenant: "other" }),
      await openViewer(harness, connectionId, { ...operator, deviceIds: ["device-2"] }),
      await openViewer(harness, "conn-unknown"),
      await openViewer(harness, connectionId, { ...operator, agentIds: ["agent-2"] }, "agentId=agent-1"),
      await openViewer(harness, connectionId, operator, "channel=other"),
    ]).toEqual([
      "insufficient_scope",
      ...Array(3).fill("connection_not_found"),
      "agent_not_allowed",
      "invalid_request",
    ]);
    socket.listener.onClose(1006);
    expect(await openViewer(harness, connectionId)).toBe("device_offline");
    const again = await harness.connect("device-1");
    expect(await openViewer(harness, connectionId)).toBe("connection_replaced");
    expect(
      await openViewer(harness, again.connectionId, operator, "agentId=a&conversationId=c&channel=stream"),
    ).toBeTypeOf("object");
  });

  test("a plain request to the viewer path names the protocol to upgrade to", async () => {
    const harness = createHarness();
    const { connectionId } = await harness.connect("device-1");
    const answer = await harness.call("GET", `/v1/environments/${connectionId}/status/ws`, { principal: operator });
    expect(answer).toMatchObject({ status: 426, headers: { upgrade: "websocket" } });
  });
});

describe("viewer tickets", () => {
  test("a ticket opens one socket of the connection for the key that requested it", async () => {
    const harness = createHarness();
    const { connectionId } = await harness.connect("device-1");
    const path = `/v1/environments/${connectionId}/status/ws-ticket`;
    const { status, body } = await harness.call("POST", path, { principal: operator });
    expect([status, body]).toEqual([200, { ticket: expect.any(String), expiresAt: harness.clock.now() + 60_000 }]);
    expect(harness.server.redeemTicket(String(body["ticket"]), connectionId)).toBe(operator);
    expect(harness.server.redeemTicket(String(body["ticket"]), connectionId)).toBeNull();
  });

  test("a ticket is not issued for an inaccessible device, or without the scope view", async () => {
    const harness = createHarness();
    const { connectionId } = await harness.connect("device-1");
    const path = `/v1/environments/${connectionId}/status/ws-ticket`;
    const principals: Principal[] = [{ ...operator, deviceIds: ["device-2"] }, anyone];
    const answers = await Promise.all(principals.map((principal) => harness.call("POST", path, { principal })));
    expect(answers.map(({ body }) => body["errorCode"])).toEqual(["connection_not_found", "insufficient_scope"]);
  });
});

describe("viewers of a device", () => {
  test("a viewer sends a message as the API does, and a repeat of it is not sent again", async () => {
    const harness = createHarness();
    const { connectionId, socket: device } = await harness.connect("device-1");
    const viewer = await watch(harness, connectionId);
    const messages = [{ role: "user", content: "hello", client_message_id: "m-1" }];
    const input = { type: "input", runtime, payload: { kind: "create_message", messages } };
    viewer.say({ ...input, request_id: "r-1" });
    await harness.settle();
    device.acknowledge();
    await harness.settle();
    viewer.say({ ...input, request_id: "r-2" });
    await harness.settle();
    expect(device.inputs()).toHaveLength(1);
    expect(viewer.frames).toMatchObject([
      { type: "input_accepted", request_id: "r-1", accepted: true, disposition: "started" },
      { type: "input_accepted", request_id: "r-2", accepted: true, disposition: "started" },
    ]);
  });

  test.each(["of the same viewer", "over HTTP"])("a viewer's messages are sent before a later stop %s", async (by) => {
    const harness = createHarness();
    const { connectionId, socket: device } = await harness.connect("device-1");
    const viewer = await watch(harness, connectionId);
    for (const id of ["a", "b", "c"]) {
      const messages = [{ role: "user", content: id, client_message_id: id }];
      viewer.say({ type: "input", request_id: `r-${id}`, runtime, payload: { kind: "create_message", messages } });
    }
    await harness.settle();
    const body = { agentId: "agent-1", conversationId: "default" };
    if (by === "over HTTP")
      void harness.call("POST", `/v1/environments/${connectionId}/stop`, { principal: operator, body });
    else viewer.say({ type: "abort_message", request_id: "r-stop", runtime });
    await harness.settle();
    const written = device.frames.map(
      ({ type, payload }) => /"content":"(.)"/.exec(JSON.stringify(payload))?.[1] ?? type,
    );
    expect(written).toEqual(["a", "b", "c", "abort_message"]);
  });

  test("a viewer sends messages of several conversations that do not wait for each other", async () => {
    const harness = createHarness();
    const { connectionId, socket: device } = await harness.connect("device-1");
    const viewer = await watch(harness, connectionId);
    for (const id of ["conv-1", "conv-2"]) {
      const messages = [{ role: "user", content: id, client_message_id: id }];
      const about = { ...runtime, conversation_id: id };
      viewer.say({ type: "input", request_id: id, runtime: about, payload: { kind: "create_message", messages } });
    }
    await harness.settle();
    expect(device.inputs()).toHaveLength(2);
  });

  test("a viewer sees the frames of its device, and not the acknowledgements of others", async () => {
    const harness = createHarness();
    const { connectionId, socket: device } = await harness.connect("device-1");
    const { socket: other } = await harness.connect("device-2");
    const viewer = await watch(harness, connectionId);
    const sending = harness.send(connectionId);
    await harness.settle();
    device.acknowledge();
    expect(await sending).toMatchObject({ status: 200 });
    device.say({ type: "stream_delta", runtime, delta: { message_type: "assistant_message", content: "pong" } });
    other.say({ type: "stream_delta", runtime, delta: {} });
    expect(viewer.frames).toMatchObject([{ type: "stream_delta", seq: 1 }]);
  });

  test("a viewer keeps its socket through a short reconnect, and loses it when the device registers again", async () => {
    const harness = createHarness();
    const { connectionId, socket: device } = await harness.connect("device-1");
    const viewer = await watch(harness, connectionId);
    device.listener.onClose(1006);
    viewer.say({ type: "sync", request_id: "r", runtime });
    await harness.settle();
    expect(viewer.frames).toMatchObject([{ code: "device_offline" }, { type: "sync_response", success: false }]);
    const reconnected = await harness.open(connectionId);
    viewer.say({ type: "sync", request_id: "r", runtime });
    await harness.settle();
    expect(reconnected.frames).toMatchObject([{ type: "sync", runtime, recover_approvals: false }]);
    await harness.connect("device-1");
    expect(viewer.closes).toMatchObject([{ code: 1001 }]);
  });

  test("a viewer loses its socket when its key ends, and when the server closes", async () => {
    const harness = createHarness();
    const { connectionId } = await harness.connect("device-1");
    const [first, second] = [
      await watch(harness, connectionId),
      await watch(harness, connectionId, { ...operator, keyId: "key-2" }),
    ];
    expect(harness.server.connectedViewers()).toMatchObject([
      { keyId: "key-1" },
      { keyId: "key-2", deviceId: "device-1" },
    ]);
    harness.server.closeEnded((socket) => "principal" in socket && socket.keyId === "key-1");
    expect([first.closes, second.closes]).toMatchObject([[{ code: 1008 }], []]);
    await harness.server.close();
    expect(second.closes).toMatchObject([{ code: 1001 }]);
  });
});

describe("the terminals of a viewer", () => {
  test.each([
    ["its device loses the tag that its key needs", [], false],
    ["it leaves while the store fails", ["gpu"], true],
  ] as const)("a terminal ends with its viewer when %s", async (_when, tags, isFailing) => {
    const harness = createHarness();
    const { connectionId, socket } = await harness.connect("device-1");
    const admin: Principal = { ...anyone, scopes: new Set(["admin"] as const) };
    const label = (labels: readonly string[]) =>
      harness.call("PATCH", "/v1/environments/device-1", { body: { tags: labels }, principal: admin });
    await label(["gpu"]);
    const viewer = await watch(harness, connectionId, { ...operator, deviceTags: ["gpu"] });
    viewer.say({ type: "terminal_spawn", terminal_id: "t", cols: 80, rows: 24 });
    await harness.settle();
    const [{ terminal_id: terminalId } = {}] = socket.frames;
    await label(tags);
    if (isFailing) harness.store.findConnection = () => Promise.reject(new Error("disk full"));
    await harness.clock.advance(viewerCheckIntervalMs);
    expect(viewer.closes).toHaveLength(isFailing ? 0 : 1);
    if (isFailing) viewer.listener.onClose(1001);
    await harness.settle();
    expect(socket.frames.at(-1)).toEqual({ type: "terminal_kill", terminal_id: terminalId });
  });
});

test("a viewer's messages that wait are not sent after its key has ended, but are sent if it only disconnects", async () => {
  for (const isKeyEnded of [true, false]) {
    const harness = createHarness();
    const { connectionId, socket: device } = await harness.connect("device-1");
    const viewer = await watch(harness, connectionId);
    for (const id of ["m-1", "m-2"]) {
      const messages = [{ role: "user", content: "hello", client_message_id: id }];
      viewer.say({ type: "input", request_id: id, runtime, payload: { kind: "create_message", messages } });
    }
    await harness.settle();
    if (isKeyEnded) harness.server.closeEnded((socket) => "principal" in socket);
    else viewer.listener.onClose(1001);
    await harness.clock.advance(maxMessageWaitMs);
    expect(device.inputs()).toHaveLength(isKeyEnded ? 1 : 2);
    device.acknowledge();
    await harness.settle();
    expect(harness.events.filter(({ type }) => type === "request_failed")).toEqual([]);
  }
});

test("a viewer's frames never reach a device or agent that its key cannot access over HTTP", async () => {
  let reached = 0;
  for (let seed = 1; seed <= 150; seed++) reached += await runRandomFrames(seed);
  // Otherwise it would say nothing.
  expect(reached).toBeGreaterThan(300);
});

const deviceIds = ["device-1", "device-2", "device-3"];
const agentIds = ["agent-1", "agent-2"];
const ofConversations = ["sync", "runtime_start", "input", "abort_message", "change_device_state"];
/** The agent of the only named conversation. */
const agentOfC = "agent-1";
/** A question of the server itself, which no viewer has sent. */
const isQuestion = ({ type, request_id: id }: Record<string, unknown>): boolean =>
  type === "conversation_retrieve" && String(id).startsWith("command");
const frameTypes = [...Object.values(viewerFrameTypes).flat(), "teleport_request", "message", "pong", "listener_ready"];

/** Random keys open sockets at random connections and send random frames. Resolves with the number that reached a device. */
async function runRandomFrames(seed: number): Promise<number> {
  let reached = 0;
  const random = createRandom(seed);
  const harness = createHarness();
  const devices = await Promise.all(
    deviceIds.map(async (deviceId) => ({ deviceId, ...(await harness.connect(deviceId)) })),
  );
  const foreign = { ...operator, tenant: "other", keyId: "key-9" };
  const foreignId = await harness.register("device-1", { principal: { ...foreign, scopes: anyone.scopes } });
  const everyDevice = [
    ...devices,
    {
      deviceId: "foreign",
      connectionId: foreignId,
      socket: await harness.open(foreignId, { ...foreign, scopes: anyone.scopes }),
    },
  ];
  for (const { socket } of everyDevice) {
    socket.onFrame = (frame) => {
      if (!isQuestion(frame)) return;
      const found = { success: true, conversation: { agent_id: agentOfC } };
      socket.say({ type: "conversation_retrieve_response", request_id: frame["request_id"], ...found });
    };
  }
  for (let attempt = 0; attempt < 6; attempt++) {
    const principal = randomPrincipal(random);
    const target = random.pick(everyDevice);
    const before = everyDevice.map(({ socket }) => socket.frames.length);
    const viewer = await openViewer(harness, target.connectionId, principal);
    for (let count = 0; typeof viewer !== "string" && count < 12; count++) viewer.say(randomFrame(random));
    await harness.settle();
    for (const [index, { deviceId, connectionId, socket }] of everyDevice.entries()) {
      const received = socket.frames.slice(before[index]).filter((frame) => !isQuestion(frame));
      if (received.length === 0) continue;
      reached += received.length;
      const read = { ...principal, scopes: new Set([...principal.scopes, "read"] as const) };
      const { status } = await harness.call("GET", `/v1/environments/${deviceId}`, { principal: read });
      expect({ seed, deviceId, status, connectionId }).toEqual({
        seed,
        deviceId,
        status: 200,
        connectionId: target.connectionId,
      });
      for (const frame of received) expectAllowed(seed, frame, principal);
    }
    if (typeof viewer !== "string") viewer.listener.onClose(1005);
    // Its terminals end with it.
    await harness.settle();
  }
  return reached;
}

/** A second opinion on what a frame at the device may be, which shares no code with the checks. */
function expectAllowed(seed: number, frame: Record<string, unknown>, principal: Principal): void {
  const type = String(frame["type"]);
  const scope = Object.entries(viewerFrameTypes).find(([, types]) => types.includes(type))?.[0] ?? "none";
  const isDecision = type === "input" && JSON.stringify(frame).includes('"approval_response"');
  const needed = isDecision ? "approve" : scope;
  expect({ seed, type, needed, has: [...principal.scopes].includes(needed as Scope) }).toMatchObject({ has: true });
  const agentId = (frame["runtime"] as Record<string, unknown> | undefined)?.["agent_id"] ?? frame["agent_id"] ?? null;
  const isFree = principal.agentIds === null && principal.maxMode === null;
  const { conversation_id: conversation } = { ...frame, ...(frame["runtime"] as Record<string, unknown> | undefined) };
  const isForeign = principal.agentIds !== null && conversation === "c" && agentId !== agentOfC;
  expect({ seed, type, agentId, isForeign }).toMatchObject({ isForeign: false });
  const isAllowed =
    isFree || (["view", "send", "approve", "control"].includes(needed) && isAgentAllowed(principal, type, agentId));
  expect({ seed, type, agentId, isAllowed }).toMatchObject({ isAllowed: true });
  const mode = frame["mode"] ?? (frame["payload"] as Record<string, unknown> | undefined)?.["mode"];
  if (principal.maxMode === "standard" && mode !== undefined)
    expect({ seed, mode }).toEqual({ seed, mode: "standard" });
}

function isAgentAllowed({ agentIds: allowed }: Principal, type: string, agentId: unknown): boolean {
  return allowed === null || type === "app_server_info" || allowed.includes(String(agentId));
}

function randomPrincipal(random: Random): Principal {
  const some = <Value>(values: readonly Value[]): Value[] => values.filter(() => random.happens(0.5));
  return {
    ...operator,
    keyId: `key-${random.below(1_000)}`,
    scopes: new Set<Scope>(["view", ...some(everyScope)]),
    deviceIds: random.happens(0.5) ? null : some(deviceIds),
    connectionNames: random.happens(0.8) ? null : ["name of device-2"],
    agentIds: random.happens(0.5) ? null : some(agentIds),
    maxMode: random.happens(0.7) ? null : "standard",
  };
}

function randomFrame(random: Random): object | string {
  if (random.happens(0.05)) return random.pick(["nonsense", "[]", "{}", '{"type":1}']);
  const agent = random.pick([...agentIds, null, "", "agent-3"]);
  const conversation = random.pick(["default", "c", "", null]);
  const scope = { agent_id: agent, conversation_id: conversation };
  const mode = random.pick(["standard", "unrestricted", "strict"]);
  const payload = random.pick<object>([
    { kind: "create_message", messages: [{ role: "user", content: "x" }] },
    { kind: "approval_response", request_id: "perm-1", decision: { behavior: "allow" } },
    { mode, ...(random.happens(0.5) && { agent_id: random.pick(agentIds) }) },
    { kind: "teleport_continue" },
  ]);
  return {
    type: random.pick(random.happens(0.3) ? ofConversations : frameTypes),
    ...(random.happens(0.8) && { request_id: random.pick(["r", ""]) }),
    ...(random.happens(0.9) && { runtime: random.pick<unknown>([scope, scope, "text", [scope]]) }),
    ...(random.happens(0.5) && scope),
    ...(random.happens(0.3) && { mode }),
    ...(random.happens(0.2) && { create_agent: {} }),
    payload,
    item_id: "q-1",
    terminal_id: "t",
  };
}
