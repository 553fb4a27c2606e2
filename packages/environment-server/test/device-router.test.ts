import { openSqlite } from "@letta-environments/platform/node";
import { problemResponse } from "@letta-environments/schema";
import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { createLocalRouter } from "../src/index.ts";
import { maxMessageWaitMs } from "../src/limits.ts";
import { createSqliteEnvironmentStore } from "../src/sqlite.ts";
import { createRoutedHarness, describeDeviceRouterContract } from "./device-router-contract.ts";
import { anyone, userMessage } from "./support/harness.ts";
import { createServerLinks } from "./support/linked-servers.ts";

describeDeviceRouterContract("one process", () => {
  const { harness, router } = createRoutedHarness(createLocalRouter);
  return { near: harness, far: harness, router, farPodId: "pod-1" };
});

function createLinkedWorld() {
  const store = createSqliteEnvironmentStore(openSqlite(":memory:"));
  const clock = createVirtualClock();
  const links = createServerLinks(store);
  const [near, far] = (["near", "far"] as const).map((podId) =>
    createRoutedHarness((local) => links.join(podId, local), { store, clock, podId }),
  );
  if (near === undefined || far === undefined) throw new Error("unreachable");
  return { near: near.harness, far: far.harness, router: near.router, farPodId: "far", links };
}

describeDeviceRouterContract("two processes that exchange messages", createLinkedWorld);

test("a process that is lost during a send leaves its outcome unknown, and the send is not repeated", async () => {
  const { near, far, links } = createLinkedWorld();
  const { connectionId, socket } = await far.connect("device-a");
  const sent = near.send(connectionId, { messages: [userMessage("m-1")] });
  await near.settle();
  expect(socket.inputs()).toHaveLength(1);
  links.cut("far");
  expect(await sent).toMatchObject({ status: 504, body: { errorCode: "delivery_unknown" } });
  expect((await near.send(connectionId, { messages: [userMessage("m-2")] })).body["errorCode"]).toBe("device_offline");
  const again = await near.connect("device-a");
  const repeated = await near.send(again.connectionId, { messages: [userMessage("m-1")] });
  expect(repeated.body["errorCode"]).toBe("delivery_unknown");
  expect(again.socket.inputs()).toEqual([]);
});

test("a message that waits in another process is not sent if its caller disconnects", async () => {
  const { near, far } = createLinkedWorld();
  const { connectionId, socket } = await far.connect("device-a");
  const leaving = new AbortController();
  const sent = near.send(connectionId, {}, { signal: leaving.signal });
  leaving.abort(new Error("gone"));
  await expect(sent).rejects.toThrow("gone");
  await near.settle();
  expect(socket.inputs()).toEqual([]);
});

test("a message that is on its way to another process is not sent if its caller disconnects", async () => {
  for (let turns = 0; turns < 40; turns += 1) {
    const { near, far } = createLinkedWorld();
    const { connectionId, socket } = await far.connect("device-a");
    const leaving = new AbortController();
    const sent = near.send(connectionId, {}, { signal: leaving.signal }).catch(() => undefined);
    for (let turn = 0; turn < turns; turn += 1) await Promise.resolve();
    const sentBefore = socket.inputs().length;
    leaving.abort(new Error("gone"));
    await near.settle();
    expect(socket.inputs()).toHaveLength(sentBefore);
    if (sentBefore === 0) await sent;
  }
});

test("a message whose process is lost while it is decided again there is not sent, and the next one of its conversation leaves", async () => {
  const { near, far, links } = createLinkedWorld();
  const { connectionId, socket } = await far.connect("device-a");
  const input = (id: string) => ({
    params: { connectionId },
    query: null,
    body: { agentId: "agent-1", messages: [userMessage(id)] },
  });
  const decideAgain = () => new Promise<never>(() => undefined);
  void far.server.operate("sendMessage", input("m-1"), anyone, { authority: null });
  void near.server.operate("sendMessage", input("m-2"), anyone, { authority: null, decideAgain });
  await near.clock.advance(maxMessageWaitMs);
  socket.acknowledge();
  const third = far.send(connectionId, { messages: [userMessage("m-3")] });
  await far.settle();
  expect(socket.inputs()).toHaveLength(1);
  links.cut("near");
  await far.settle();
  expect(socket.inputs().map(({ payload }) => payload.messages[0]?.client_message_id)).toEqual(["m-1", "m-3"]);
  socket.acknowledge();
  expect((await third).status).toBe(200);
});

test("a message that waits in another process is decided again in the process of its caller, and not sent if its key has ended", async () => {
  const { near, far } = createLinkedWorld();
  const { connectionId, socket } = await far.connect("device-a");
  const input = (id: string) => ({
    params: { connectionId },
    query: null,
    body: { agentId: "agent-1", messages: [userMessage(id)] },
  });
  const first = near.server.operate("sendMessage", input("m-1"), anyone, { authority: null });
  const second = near.server.operate("sendMessage", input("m-2"), anyone, {
    authority: null,
    decideAgain: () => Promise.resolve({ kind: "refused", response: problemResponse("invalid_key") }),
  });
  await near.clock.advance(maxMessageWaitMs);
  expect((await second).status).toBe(401);
  expect(socket.inputs()).toHaveLength(1);
  socket.acknowledge();
  expect((await first).status).toBe(200);
});
