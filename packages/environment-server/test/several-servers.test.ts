import { openSqlite } from "@letta-environments/platform/node";
import { createVirtualClock } from "@letta-environments/testkit";
import type { Principal } from "@letta-environments/schema";
import { describe, expect, test } from "vitest";
import { createSqliteEnvironmentStore } from "../src/sqlite.ts";
import { anyone, createHarness, type Harness, userMessage, withApprove } from "./support/harness.ts";
import { allow, decide, payloads } from "./support/decisions.ts";
import { createServerLinks } from "./support/linked-servers.ts";
import { runtime, stateOf } from "./support/message-status.ts";

const running = {
  ...{ type: "update_loop_status", runtime },
  loop_status: { status: "RUNNING", active_run_ids: ["run-1"], client_message_ids_by_run_id: { "run-1": ["m-1"] } },
};
const finished = { type: "turn_finished", runtime, run_id: "run-1", stop_reason: "end_turn" };

/** Servers of one store that reach each other's devices. */
function createServers(store = createSqliteEnvironmentStore(openSqlite(":memory:")), storeOfFirst = store) {
  const clock = createVirtualClock();
  const links = createServerLinks(store);
  const start = (podId: string, own = store): Harness =>
    createHarness({ store: own, clock, podId, connectRouter: (local) => links.join(podId, local) });
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
