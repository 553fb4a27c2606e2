/** The turns of devices before 0.30.3, which say neither which message has started a turn nor why a turn has ended. */
import { readRecording } from "@letta-environments/testkit";
import { describe, expect, test } from "vitest";
import { lateErrorMs } from "../src/limits.ts";
import { payloads } from "./support/decisions.ts";
import { listen, settleEvents } from "./support/event-streams.ts";
import type { FakeSocket } from "./support/fake-socket.ts";
import { createHarness, type Harness, userMessage } from "./support/harness.ts";
import { retrieve, runtime, stateOf, viewer } from "./support/message-status.ts";
import { replayedScope } from "./support/replay.ts";

async function connect(harness: Harness, lettaCodeVersion: string) {
  const body = { deviceId: "device-1", connectionName: "box", metadata: { lettaCodeVersion } };
  const connectionId = await harness.register("device-1", { body });
  return { connectionId, socket: await harness.open(connectionId) };
}

function reportLoop(socket: FakeSocket, status: string): void {
  socket.say({ type: "update_loop_status", runtime, loop_status: { status, active_run_ids: [] } });
}

function reportQueue(socket: FakeSocket, ...ids: readonly string[]): void {
  socket.say({ type: "update_queue", runtime, queue: ids.map((id) => ({ client_message_id: id })) });
}

function sayText(socket: FakeSocket, content: string, members: object = {}): void {
  const delta = { message_type: "assistant_message", id: `id of ${content}`, content };
  socket.say({ type: "stream_delta", runtime, delta, ...members });
}

function sayError(socket: FakeSocket, message: string): void {
  const delta = { message_type: "loop_error", message, stop_reason: "error", is_terminal: true };
  socket.say({ type: "stream_delta", runtime, delta });
}

/** Sends a message that the device does not report yet. */
async function write(harness: Harness, connectionId: string, id: string) {
  const answer = harness.send(connectionId, { messages: [userMessage(id)] });
  await harness.settle();
  return { answer };
}

/** The state and the text of a message. */
async function shown(harness: Harness, connectionId: string, id: string): Promise<unknown> {
  const { body } = await retrieve(harness, connectionId, id);
  return [body["state"], body["text"]];
}

describe("messages and turns of other messages", () => {
  test.each(
    ["0.22.4", "0.25.9", "0.30.2"].flatMap((version) => [
      { version, order: "its start before its departure from the queue" },
      { version, order: "its departure from the queue before its start" },
    ]),
  )(
    "an in-flight message is not matched to the turn of a queued one on a device $version that reports $order",
    async ({ version, order }) => {
      const harness = createHarness();
      const { connectionId, socket } = await connect(harness, version);
      const start = [() => reportLoop(socket, "SENDING_API_REQUEST"), () => reportQueue(socket)];
      await write(harness, connectionId, "m-1");
      reportLoop(socket, "SENDING_API_REQUEST");
      await write(harness, connectionId, "m-2");
      reportQueue(socket, "m-2");
      const { answer } = await write(harness, connectionId, "m-3");
      reportLoop(socket, "WAITING_ON_INPUT");
      for (const report of order.startsWith("its start") ? start : start.toReversed()) report();
      expect(await stateOf(harness, connectionId, "m-2")).toBe("running");
      expect(await stateOf(harness, connectionId, "m-3")).toBe("sent");
      reportQueue(socket, "m-3");
      expect(await answer).toMatchObject({ status: 200, body: { disposition: "queued" } });
      sayText(socket, "answer to m-2");
      reportLoop(socket, "WAITING_ON_INPUT");
      await harness.clock.advance(lateErrorMs);
      expect(await shown(harness, connectionId, "m-2")).toEqual(["finished", "answer to m-2"]);
      expect(await shown(harness, connectionId, "m-3")).toEqual(["accepted", undefined]);
      for (const report of start) report();
      sayText(socket, "answer to m-3");
      reportLoop(socket, "WAITING_ON_INPUT");
      await harness.clock.advance(lateErrorMs);
      expect(await shown(harness, connectionId, "m-3")).toEqual(["finished", "answer to m-3"]);
    },
  );

  test.each(["m-1", "another message"])(
    "an in-flight message is not matched to the turn of %s, which an idle device has queued first",
    async (queued) => {
      const harness = createHarness();
      const { connectionId, socket } = await connect(harness, "0.22.4");
      reportLoop(socket, "WAITING_ON_INPUT");
      if (queued === "m-1") await write(harness, connectionId, "m-1");
      const { answer } = await write(harness, connectionId, "m-2");
      reportQueue(socket, queued);
      await harness.settle();
      await harness.clock.advance(10);
      reportLoop(socket, "SENDING_API_REQUEST");
      reportQueue(socket);
      expect(await stateOf(harness, connectionId, "m-2")).toBe("sent");
      reportQueue(socket, "m-2");
      expect(await answer).toMatchObject({ status: 200, body: { disposition: "queued" } });
    },
  );

  test("a message that an idle device queued more than a second ago does not explain the start of a later one", async () => {
    const harness = createHarness();
    const { connectionId, socket } = await connect(harness, "0.25.9");
    reportQueue(socket, "other");
    await harness.clock.advance(1_000);
    const { answer } = await write(harness, connectionId, "m-1");
    reportLoop(socket, "SENDING_API_REQUEST");
    expect(await answer).toMatchObject({ status: 200, body: { disposition: "started" } });
  });

  test("a message that follows a queued one is accepted with the start of its own turn", async () => {
    const harness = createHarness();
    const { connectionId, socket } = await connect(harness, "0.25.9");
    reportQueue(socket, "other");
    reportLoop(socket, "SENDING_API_REQUEST");
    reportQueue(socket);
    reportLoop(socket, "WAITING_ON_INPUT");
    const { answer } = await write(harness, connectionId, "m-1");
    reportLoop(socket, "SENDING_API_REQUEST");
    expect(await answer).toMatchObject({ status: 200, body: { disposition: "started" } });
  });

  test.each([
    ["is taken with it", []],
    ["stays in the queue", ["m-2"]],
  ])(
    "a message that is sent after a stop is accepted with the start of its turn, and a queued message %s",
    async (_, left) => {
      const harness = createHarness();
      const { connectionId, socket } = await connect(harness, "0.25.9");
      await write(harness, connectionId, "m-1");
      reportLoop(socket, "SENDING_API_REQUEST");
      await write(harness, connectionId, "m-2");
      reportQueue(socket, "m-2");
      reportLoop(socket, "WAITING_ON_INPUT");
      const { answer } = await write(harness, connectionId, "m-3");
      reportLoop(socket, "SENDING_API_REQUEST");
      reportQueue(socket, ...left);
      expect(await answer).toMatchObject({ status: 200, body: { disposition: "started" } });
      expect(await stateOf(harness, connectionId, "m-3")).toBe("running");
    },
  );

  test("a message that is sent after an item has left the queue without a turn starts its turn, which has the policy of its sender", async () => {
    const harness = createHarness();
    const { connectionId, socket } = await connect(harness, "0.25.9");
    reportLoop(socket, "SENDING_API_REQUEST");
    reportQueue(socket, "other");
    reportLoop(socket, "WAITING_ON_INPUT");
    reportQueue(socket);
    const approvalPolicy = { deniedTools: ["Bash"], deadlineMs: null };
    const body = { messages: [userMessage("m-1")] };
    const answer = harness.send(connectionId, body, { principal: { ...viewer, approvalPolicy } });
    await harness.settle();
    reportLoop(socket, "SENDING_API_REQUEST");
    expect(await answer).toMatchObject({ status: 200, body: { disposition: "started" } });
    socket.ask("call-1");
    await harness.settle();
    expect(payloads(socket).at(-1)).toMatchObject({ request_id: "perm-call-1", decision: { behavior: "deny" } });
  });

  test("a message that a queue names had not started with the turn before", async () => {
    const harness = createHarness();
    const { connectionId, socket } = await connect(harness, "0.25.9");
    await write(harness, connectionId, "m-1");
    // A person has started a turn at the device.
    reportLoop(socket, "SENDING_API_REQUEST");
    sayText(socket, "answer to a person");
    sayError(socket, "of the turn of a person");
    expect(await stateOf(harness, connectionId, "m-1")).toBe("running");
    reportQueue(socket, "m-1");
    expect((await retrieve(harness, connectionId, "m-1")).body).toMatchObject({
      state: "accepted",
      disposition: "queued",
    });
    reportLoop(socket, "WAITING_ON_INPUT");
    await harness.clock.advance(lateErrorMs);
    expect(await stateOf(harness, connectionId, "m-1")).toBe("accepted");
    reportLoop(socket, "SENDING_API_REQUEST");
    reportQueue(socket);
    sayText(socket, "answer to m-1");
    reportLoop(socket, "WAITING_ON_INPUT");
    await harness.clock.advance(lateErrorMs);
    expect(await shown(harness, connectionId, "m-1")).toEqual(["finished", "answer to m-1"]);
    expect((await retrieve(harness, connectionId, "m-1")).body).not.toHaveProperty("error");
  });
});

describe("ends of turns", () => {
  /** Sends the recorded frames of a device with their recorded pauses. */
  async function replayTimed(harness: Harness, socket: FakeSocket, name: Parameters<typeof readRecording>[0]) {
    let lastMs: number | null = null;
    for (const frame of readRecording(name).frames) {
      if (!("fromDevice" in frame)) continue;
      const sentMs = Date.parse(String(frame.fromDevice["emitted_at"]));
      if (lastMs !== null && sentMs > lastMs) await harness.clock.advance(sentMs - lastMs);
      lastMs = sentMs;
      socket.say(frame.fromDevice);
    }
  }

  test.each(["0.22.4-turn-fails", "0.25.9-turn-fails"] as const)(
    "a caller that waits for the turn of the recording %s learns that it failed, and its end is reported once",
    async (name) => {
      const harness = createHarness();
      const connectionId = await harness.register("device-recorded", { body: readRecording(name).registration });
      const socket = await harness.open(connectionId);
      const events = await listen(harness);
      const sent = harness.send(
        connectionId,
        { ...replayedScope, messages: [userMessage("m-1")] },
        { principal: viewer, prefer: "wait=30" },
      );
      await harness.settle();
      const waiting = retrieve(harness, connectionId, "m-1", "wait=finished");
      await harness.settle();
      await replayTimed(harness, socket, name);
      const failed = { state: "finished", error: expect.stringContaining("404") };
      expect((await waiting).body).toMatchObject(failed);
      expect(await sent).toMatchObject({ status: 200, body: { outcome: failed } });
      await harness.clock.advance(lateErrorMs);
      await settleEvents(harness);
      const ends = events.events.filter(({ data }) => JSON.stringify(data).includes('"finished"'));
      expect(ends).toHaveLength(1);
    },
  );

  async function runTurn(queuedId: string | null = null) {
    const harness = createHarness();
    const { connectionId, socket } = await connect(harness, "0.25.9");
    await write(harness, connectionId, "m-1");
    reportLoop(socket, "SENDING_API_REQUEST");
    if (queuedId !== null) {
      await write(harness, connectionId, queuedId);
      reportQueue(socket, queuedId);
    }
    await harness.clock.advance(1_000);
    sayText(socket, "done");
    reportLoop(socket, "WAITING_ON_INPUT");
    return { harness, connectionId, socket };
  }

  test("a turn without an error ends a moment after its loop is idle, with the duration that it had", async () => {
    const { harness, connectionId } = await runTurn();
    await harness.clock.advance(lateErrorMs);
    const { body } = await retrieve(harness, connectionId, "m-1");
    expect(body).toMatchObject({ state: "finished", stopReason: "unknown", text: "done", durationMs: 1_000 });
  });

  test.each(["before", "after"])(
    "an error that follows the end of a turn is a part of that turn, also if it comes %s the next message leaves the queue",
    async (order) => {
      const { harness, connectionId, socket } = await runTurn("m-2");
      if (order === "after") reportQueue(socket);
      sayError(socket, "404");
      if (order === "before") reportQueue(socket);
      reportLoop(socket, "SENDING_API_REQUEST");
      reportLoop(socket, "WAITING_ON_INPUT");
      await harness.clock.advance(lateErrorMs);
      const errorOf = async (id: string) => (await retrieve(harness, connectionId, id)).body["error"];
      expect([await errorOf("m-1"), await errorOf("m-2")]).toEqual(["404", undefined]);
    },
  );

  test.each([
    ["its device starts the next turn", (socket: FakeSocket) => reportLoop(socket, "SENDING_API_REQUEST")],
    ["its device disconnects", (socket: FakeSocket) => socket.listener.onClose(1006)],
  ])("a turn ends at once when %s, and its message is finished", async (_, proceed) => {
    const { harness, connectionId, socket } = await runTurn();
    proceed(socket);
    expect(await shown(harness, connectionId, "m-1")).toEqual(["finished", "done"]);
    await harness.clock.advance(lateErrorMs);
    expect(await shown(harness, connectionId, "m-1")).toEqual(["finished", "done"]);
  });
});

test("a text that a device sends twice is part of the text of its turn once", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await connect(harness, "0.32.18");
  const { answer } = await write(harness, connectionId, "m-1");
  socket.acknowledge();
  await answer;
  const first = {
    idempotency_key: "stream_delta:1:a",
    delta: { message_type: "assistant_message", id: "a", content: "Hello" },
  };
  const second = {
    idempotency_key: "stream_delta:2:b",
    delta: { message_type: "assistant_message", id: "a", content: " you" },
  };
  for (const members of [first, first, second, first, second]) sayText(socket, "", members);
  socket.say({ type: "turn_finished", runtime, run_id: null, stop_reason: "end_turn" });
  expect(await shown(harness, connectionId, "m-1")).toEqual(["finished", "Hello you"]);
});
