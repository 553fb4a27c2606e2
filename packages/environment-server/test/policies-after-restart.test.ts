/** Requests that a device makes after a restart of the server, before its stored messages, with the policies of their senders, could be read. */
import { openSqlite } from "@letta-environments/platform/node";
import { createVirtualClock, type VirtualClock } from "@letta-environments/testkit";
import { describe, expect, test } from "vitest";
import { createMemoryMessageLog, type EnvironmentStore, withSeparateLogs } from "../src/index.ts";
import { createSqliteEnvironmentStore } from "../src/sqlite.ts";
import { allow, decide, payloads } from "./support/decisions.ts";
import { listen, settleEvents } from "./support/event-streams.ts";
import type { FakeSocket } from "./support/fake-socket.ts";
import { anyone, createHarness, type Harness, userMessage, withApprove } from "./support/harness.ts";
import { runtime } from "./support/message-status.ts";

const deniesBash = { ...anyone, approvalPolicy: { deniedTools: ["Bash"], deadlineMs: null } };

/** A store whose unfinished messages are read after a delay, or not while it fails. */
function createStore(clock: VirtualClock) {
  const messages = createMemoryMessageLog();
  const reading = { delayMs: 0, isFailing: false, count: 0 };
  const store: EnvironmentStore = withSeparateLogs(createSqliteEnvironmentStore(openSqlite(":memory:")), {
    messages: {
      ...messages,
      async findOpenMessages(...values) {
        reading.count += 1;
        const found = await messages.findOpenMessages(...values);
        if (reading.delayMs > 0) await new Promise<void>((resolve) => void clock.setTimer(reading.delayMs, resolve));
        if (reading.isFailing) throw new Error("locked");
        return found;
      },
    },
  });
  return { store, reading };
}

/** A message of a key that denies Bash has begun its turn, and the server is started again. `onOpen`: what the device says at once. */
async function restart(
  fault: { readonly delayMs?: number; readonly isFailing?: boolean },
  onOpen: (socket: FakeSocket) => void = () => undefined,
) {
  const clock = createVirtualClock();
  const { store, reading } = createStore(clock);
  const before = createHarness({ store, clock });
  const { connectionId, socket } = await before.connect("device-1");
  const sent = before.send(connectionId, { messages: [userMessage("m-1")] }, { principal: deniesBash });
  await before.settle();
  socket.acknowledge();
  await sent;
  await before.server.close();
  Object.assign(reading, fault);
  const harness = createHarness({ store, clock });
  const opening = harness.open(connectionId).then((opened) => {
    onOpen(opened);
    return opened;
  });
  for (let waitedMs = 0; waitedMs < 1_000; waitedMs += 10) await clock.advance(10);
  return { harness, connectionId, reading, again: await opening };
}

async function list(harness: Harness): Promise<unknown> {
  const { body } = await harness.call("GET", "/v1/environments/approvals", { principal: withApprove });
  return body["approvals"];
}

const eventTypes = ({ events }: Harness): readonly string[] => events.map(({ type }) => type);
const denial = { kind: "approval_response", request_id: "perm-call-1", decision: { behavior: "deny" } };

function reportLoop(socket: FakeSocket, status: string): void {
  socket.say({ type: "update_loop_status", runtime, loop_status: { status, active_run_ids: [] } });
}

describe("policies after a restart", () => {
  test("the first request after a restart is denied by the policy of the sender of its turn, even if the store is slow", async () => {
    const { harness, again } = await restart({ delayMs: 20 }, (socket) => socket.ask("call-1"));
    expect(payloads(again)).toMatchObject([denial]);
    expect(await list(harness)).toEqual([]);
  });

  test.each([
    ["fails", { isFailing: true }],
    ["is slow", { delayMs: 2_000 }],
  ])(
    "a request after a restart is neither listed nor allowed while the store of messages %s, and denied when it has been read",
    async (_, fault) => {
      const { harness, connectionId, reading, again } = await restart(fault);
      again.ask("call-1");
      await harness.settle();
      expect(await list(harness)).toEqual([]);
      const decided = await decide(harness, connectionId, [allow]);
      expect(decided).toMatchObject({ status: 404, body: { errorCode: "approval_not_found" } });
      expect(eventTypes(harness)).not.toContain("approval_requested");
      expect(payloads(again)).toEqual([]);
      reading.isFailing = false;
      await harness.clock.advance(5_000);
      expect(payloads(again)).toMatchObject([denial]);
    },
  );

  test("a request that no policy denies is listed when the messages have been read, without another report, unless its turn has ended", async () => {
    const { harness, reading, again } = await restart({ isFailing: true });
    again.ask("call-1", { tool_name: "Write" }, "agent-2");
    again.ask("call-2", { tool_name: "Write" });
    reportLoop(again, "WAITING_ON_INPUT");
    again.ask("call-3", { tool_name: "Write" });
    again.say({ type: "update_device_status", runtime, device_status: { pending_control_requests: [] } });
    again.ask("call-4", { tool_name: "Write" });
    await harness.clock.advance(20_000);
    expect(await list(harness)).toEqual([]);
    expect(eventTypes(harness).filter((type) => type === "store_failed").length).toBeGreaterThan(2);
    reading.isFailing = false;
    await harness.clock.advance(5_000);
    expect(await list(harness)).toMatchObject([{ id: "call-1" }, { id: "call-4" }]);
    expect(eventTypes(harness).filter((type) => type === "approval_requested")).toHaveLength(2);
  });

  test("a device connects although the messages of its row cannot be read in time", async () => {
    const { again } = await restart({ delayMs: 60_000 });
    expect(again.closes).toEqual([]);
  });

  test("the deadline of a withheld request starts when its device made the request", async () => {
    const clock = createVirtualClock();
    const { store, reading } = createStore(clock);
    const harness = createHarness({ store, clock });
    reading.isFailing = true;
    const owner = { ...anyone, approvalPolicy: { deniedTools: [], deadlineMs: 60_000 } };
    const socket = await harness.open(await harness.register("device-1", { principal: owner }), owner);
    const requestedAt = clock.now();
    socket.ask("call-1");
    await clock.advance(20_000);
    socket.ask("call-1");
    reading.isFailing = false;
    await clock.advance(5_000);
    expect(await list(harness)).toMatchObject([{ requestedAt, expiresAt: requestedAt + 60_000 }]);
  });

  test("an upgrade that is refused does not read the messages of its row", async () => {
    const clock = createVirtualClock();
    const { store, reading } = createStore(clock);
    const harness = createHarness({ store, clock });
    const replaced = await harness.register("device-1");
    await harness.open(await harness.register("device-1"));
    await harness.settle();
    reading.count = 0;
    await expect(harness.open(replaced)).rejects.toThrow("connection_replaced");
    expect(reading.count).toBe(0);
  });

  test("the policy of a message that ends while it is being read does not apply to a later turn", async () => {
    const clock = createVirtualClock();
    const { store, reading } = createStore(clock);
    const harness = createHarness({ store, clock });
    const { connectionId, socket } = await harness.connect("device-1");
    const sent = harness.send(connectionId, { messages: [userMessage("m-1")] }, { principal: deniesBash });
    await harness.settle();
    socket.acknowledge();
    await sent;
    reading.delayMs = 20;
    const opening = harness.open(connectionId);
    await harness.settle();
    socket.say({ type: "turn_finished", runtime, run_id: null, stop_reason: "end_turn" });
    reportLoop(socket, "WAITING_ON_INPUT");
    for (let waitedMs = 0; waitedMs < 100; waitedMs += 10) await clock.advance(10);
    const again = await opening;
    reportLoop(again, "SENDING_API_REQUEST");
    again.ask("call-1");
    await harness.settle();
    expect(payloads(again)).toEqual([]);
    expect(await list(harness)).toMatchObject([{ id: "call-1" }]);
  });
});

test("a request whose policy has become stricter is requested in events once when its device asks after a restart", async () => {
  const clock = createVirtualClock();
  const store = createSqliteEnvironmentStore(openSqlite(":memory:"));
  const before = createHarness({ clock, store });
  const { connectionId, socket } = await before.connect("device-1");
  socket.ask("call-1");
  await before.server.close();
  const loaded = Promise.withResolvers<void>();
  const after = createHarness({
    clock,
    store: { ...store, findPendingApprovals: (limit) => loaded.promise.then(() => store.findPendingApprovals(limit)) },
  });
  const { events } = await listen(after, { principal: withApprove });
  // The stored requests are read after the device has connected.
  const again = await after.open(connectionId, { ...anyone, approvalPolicy: { deniedTools: [], deadlineMs: 60_000 } });
  loaded.resolve();
  await after.settle();
  again.ask("call-1");
  await settleEvents(after);
  const approvals = events.filter(({ type }) => type === "approval").map(({ data }) => data);
  expect(approvals).toMatchObject([{ change: "requested", approval: { id: "call-1", expiresAt: 1_800_000_060_000 } }]);
});
