import { openSqlite, sha256Hex } from "@letta-environments/platform/node";
import { createVirtualClock, type EventSink } from "@letta-environments/testkit";
import { onlineWindowMs, type Principal } from "@letta-environments/schema";
import { describe, expect, test } from "vitest";
import {
  type ChangeLog,
  createLocalRouter,
  createMemoryChangeLog,
  type LocalDevices,
  withSeparateLogs,
} from "../src/index.ts";
import { otherServerReadMs } from "../src/limits.ts";
import { createSqliteEnvironmentStore } from "../src/sqlite.ts";
import { anyone, createHarness, type Harness, userMessage, withApprove } from "./support/harness.ts";
import { allow, decide, payloads } from "./support/decisions.ts";
import { listen, settleEvents } from "./support/event-streams.ts";
import { createServerLinks } from "./support/linked-servers.ts";
import { retrieve, runtime, stateOf } from "./support/message-status.ts";

const running = {
  ...{ type: "update_loop_status", runtime },
  loop_status: { status: "RUNNING", active_run_ids: ["run-1"], client_message_ids_by_run_id: { "run-1": ["m-1"] } },
};
const finished = { type: "turn_finished", runtime, run_id: "run-1", stop_reason: "end_turn" };

/** Servers of one store that reach each other's devices. Each has its own log of changes, even if it is started again. */
function createServers(store = createSqliteEnvironmentStore(openSqlite(":memory:")), storeOfFirst = store) {
  const clock = createVirtualClock();
  const links = createServerLinks(store);
  const logs = new Map<string, ChangeLog>();
  function start(podId: string, own = store): Harness {
    const changes = logs.get(podId) ?? createMemoryChangeLog(sha256Hex(podId).slice(0, 16));
    logs.set(podId, changes);
    const connectRouter = (local: LocalDevices) => links.join(podId, local);
    return createHarness({ store: withSeparateLogs(own, { changes }), clock, podId, connectRouter });
  }
  return { first: start("first", storeOfFirst), second: start("second"), clock, store, links, start };
}

test("a message that ended at the server to which its device has moved stays ended, although the server that lost the device stores later", async () => {
  const { first, second, clock, store } = createServers();
  const before = await first.connect("device-a");
  const sent = first.send(before.connectionId);
  await first.settle();
  before.socket.acknowledge();
  await sent;
  before.socket.say(running);
  await clock.advance(3_000);
  const { connectionId, socket } = await second.connect("device-a");
  await second.settle();
  socket.say(running);
  socket.say(finished);
  await clock.advance(3_000);
  const [row] = await store.findEnvironments("acme", "device-a");
  expect(await store.readMessages(row?.id ?? "", "m-1", 1)).toMatchObject([{ status: { state: "finished" } }]);
  expect([await stateOf(first, connectionId, "m-1"), await stateOf(second, connectionId, "m-1")]).toEqual([
    "finished",
    "finished",
  ]);
});

test("a message whose server is killed before it stores the status is followed by the server to which its device connects", async () => {
  const store = createSqliteEnvironmentStore(openSqlite(":memory:"));
  const killed = { ...store, saveMessages: () => new Promise<never>(() => undefined) };
  const { first, second, clock, links } = createServers(store, killed);
  const before = await first.connect("device-a");
  await clock.advance(10_000);
  const sent = first.send(before.connectionId);
  await first.settle();
  before.socket.acknowledge();
  expect((await sent).status).toBe(200);
  links.cut("first");
  const other = await second.connect("device-b");
  const next = second.send(other.connectionId, { messages: [userMessage("m-2")] });
  await clock.advance(5_000);
  other.socket.acknowledge();
  await next;
  const socket = await second.open(before.connectionId);
  await clock.advance(500);
  expect(socket.frames.map(({ type }) => type)).toEqual(["sync"]);
  socket.say(running);
  expect(await stateOf(second, before.connectionId, "m-1")).toBe("running");
  socket.say(finished);
  await clock.advance(1_000);
  expect(await stateOf(second, before.connectionId, "m-1")).toBe("finished");
  socket.listener.onClose(1006);
  const again = await second.open(before.connectionId);
  await clock.advance(1_000);
  expect(again.frames).toEqual([]);
  expect(await stateOf(second, before.connectionId, "m-1")).toBe("finished");
});

test("a wait for the end of a message ends soon after the message has, although its device has moved to another server", async () => {
  const { first, second, clock } = createServers();
  const { connectionId, socket } = await first.connect("device-a");
  const sent = first.send(connectionId);
  await first.settle();
  socket.acknowledge();
  await sent;
  socket.say(running);
  await clock.advance(2_000);
  const waiting = retrieve(first, connectionId, "m-1", "wait=finished&waitSeconds=60");
  await first.settle();
  const moved = await second.open(connectionId);
  await clock.advance(20_000);
  moved.say(running);
  moved.say(finished);
  await clock.advance(otherServerReadMs);
  expect((await waiting).body).toMatchObject({ state: "finished" });
});

describe("events of a device that moves to another server", () => {
  const connectionsIn = ({ events }: EventSink) =>
    events.filter(({ type }) => type === "environment").map(({ data }) => data["connectionId"]);

  test("it is offline in the stream of the server that it has left, and in that of the next one until it leaves that, too", async () => {
    const { first, second, clock } = createServers();
    const left = await listen(first);
    const joined = await listen(second);
    const before = await first.connect("device-a");
    await clock.advance(2_000);
    const after = await second.connect("device-a");
    await clock.advance(2_000);
    after.socket.listener.onClose(1006);
    await clock.advance(2_000);
    await settleEvents(first);
    expect(connectionsIn(left)).toEqual([null, before.connectionId, null]);
    expect(connectionsIn(joined)).toEqual([null, after.connectionId, null]);
  });

  test("it is offline in the stream of a server that was killed and started again, although it is connected elsewhere by then", async () => {
    const { first, second, clock, links, start } = createServers();
    await listen(first);
    const { connectionId } = await first.connect("device-a");
    await clock.advance(2_000);
    links.cut("first");
    const again = await listen(start("first"));
    const socket = await second.open(connectionId);
    await clock.advance(60_000);
    socket.say({ type: "ping" });
    await clock.advance(onlineWindowMs - 60_000);
    await settleEvents(second);
    expect(connectionsIn(again)).toEqual([null]);
  });

  test("events and the end of a server do not wait for other servers", async () => {
    const silent = new Promise<never>(() => undefined);
    const server = createHarness({
      connectRouter: (local) => ({ ...createLocalRouter(local), presence: () => silent }),
    });
    const sink = await listen(server);
    const { connectionId, socket } = await server.connect("device-a");
    await server.clock.advance(2_000);
    socket.listener.onClose(1006);
    await server.settle();
    await server.server.close();
    await settleEvents(server);
    expect(connectionsIn(sink)).toEqual([null, connectionId, null]);
  });
});

describe("requests for permission of a device that moves to another server", () => {
  const deadlineMs = 60_000;
  const withDeadline: Principal = { ...withApprove, approvalPolicy: { deniedTools: [], deadlineMs } };

  async function list(server: Harness) {
    const { body } = await server.call("GET", "/v1/environments/approvals", { principal: withApprove });
    return body["approvals"];
  }

  /** A device asks at the first server. */
  async function ask(principal: Principal = anyone) {
    const servers = createServers();
    const connectionId = await servers.first.register("device-a", { principal });
    const socket = await servers.first.open(connectionId, principal);
    socket.say(running);
    socket.ask("call-1");
    await servers.clock.advance(3_000);
    return { ...servers, connectionId, socket };
  }

  test("the server asks for them, and they keep their time, so that they can be decided", async () => {
    const { first, second, clock, connectionId, socket } = await ask();
    const [listed] = (await list(first)) as [{ requestedAt: number }];
    socket.listener.onClose(1006);
    const again = await second.open(connectionId);
    await clock.advance(1_000);
    expect(again.frames.map(({ type }) => type)).toContain("sync");
    expect(await list(second)).toMatchObject([{ id: "call-1", requestedAt: listed.requestedAt }]);
    again.ask("call-1");
    const decided = decide(second, connectionId, [{ ...allow, requested_at: listed.requestedAt }]);
    await second.settle();
    again.acknowledge();
    expect((await decided).status).toBe(200);
  });

  test("they are requested in the events of its new server when the device asks again, once", async () => {
    const { second, clock, connectionId } = await ask();
    const { events } = await listen(second, { principal: withApprove });
    const again = await second.open(connectionId);
    await clock.advance(1_000);
    for (let count = 0; count < 2; count += 1) again.ask("call-1");
    await settleEvents(second);
    const changes = events.filter(({ type }) => type === "approval").map(({ data }) => data["change"]);
    expect(changes).toEqual(["requested"]);
  });

  test("a deadline does not begin again", async () => {
    const { second, clock, connectionId, socket } = await ask(withDeadline);
    await clock.advance(30_000);
    socket.listener.onClose(1006);
    const again = await second.open(connectionId, withDeadline);
    again.ask("call-1");
    await clock.advance(deadlineMs - 33_001);
    expect(payloads(again)).toEqual([]);
    await clock.advance(1);
    expect(payloads(again)).toMatchObject([{ decision: { behavior: "deny" } }]);
  });

  test("one that was decided there is over when the device is back, and the first decision stays", async () => {
    const { first, second, clock, connectionId, socket } = await ask();
    socket.listener.onClose(1006);
    const away = await second.open(connectionId);
    await second.settle();
    expect(await list(first)).toEqual([]);
    away.ask("call-1");
    const decided = decide(second, connectionId, [allow]);
    await second.settle();
    away.acknowledge();
    await decided;
    away.say(finished);
    away.listener.onClose(1006);
    await clock.advance(3_000);
    const back = await first.open(connectionId);
    await first.settle();
    expect([await list(first), await list(second)]).toEqual([[], []]);
    const other = await decide(first, connectionId, [{ ...allow, approve: false }]);
    expect(other.body).toMatchObject({ errorCode: "approval_decided", approval: { decision: "allow" } });
    expect(payloads(back)).toEqual([]);
  });

  test("a server that starts meanwhile does not list or count them as its own", async () => {
    const { start, first, clock, socket } = await ask();
    const third = start("third");
    await third.settle();
    const { body } = await third.call("GET", "/v1/environments", { principal: withApprove });
    expect(body["connections"]).toMatchObject([{ deviceId: "device-a" }]);
    expect(JSON.stringify(body)).not.toContain("pendingApprovals");
    expect(await list(third)).toEqual([]);
    expect(third.server.pendingApprovals()).toBe(0);
    socket.say(finished);
    await clock.advance(3_000);
    expect([await list(first), await list(third)]).toEqual([[], []]);
  });
});
