import type { ApprovalPolicy } from "@letta-environments/schema";
import { createVirtualClock } from "@letta-environments/testkit";
import { describe, expect, test } from "vitest";
import type { TurnFrame } from "../dialects/frame.ts";
import { maxFollowedMessages, maxFollowedPerRow, maxRepliesLength, maxReplyLength } from "../limits.ts";
import type { StoredMessage } from "../message-log.ts";
import { createMemoryMessageLog } from "../logs/memory.ts";
import { receivedStatus } from "./state-machine.ts";
import { createMessageTracker, type MessageTracker } from "./tracker.ts";
import type { FindUnsaved } from "./unsaved.ts";

const scope = { environmentId: "env-1", agentId: "agent-1", conversationId: "default" };
const runtime = { agentId: "agent-1", conversationId: "default" };
const active: TurnFrame = { kind: "update_loop_status", runtime, activity: "active", activeRunIds: [], runs: null };
const waiting: TurnFrame = { ...active, activity: "waiting" };
const finished: TurnFrame = {
  kind: "turn_finished",
  runtime,
  runId: null,
  stopReason: "end_turn",
  error: null,
  usage: null,
};

function setUp(findUnsaved?: FindUnsaved) {
  const clock = createVirtualClock();
  const log = createMemoryMessageLog();
  const writes: (readonly StoredMessage[])[] = [];
  const store = { fails: false };
  const saveMessages = (messages: readonly StoredMessage[]): Promise<void> => {
    writes.push(messages);
    if (store.fails) return Promise.reject(new Error("disk full"));
    return log.saveMessages(messages);
  };
  const failures: unknown[] = [];
  const tracker = createMessageTracker({
    clock,
    log: { ...log, saveMessages },
    ...(findUnsaved !== undefined && { findUnsaved }),
    emit: (event) => void failures.push(event),
    wallNow: () => clock.now(),
  });
  tracker.connect({ environmentId: "env-1", tenant: "acme" }, true);
  return { clock, log, tracker, writes, failures, store };
}

function deliveryOf(id: string, change: Partial<typeof scope> = {}) {
  const at = { ...scope, ...change };
  return { id: `msg-${id}`, scope: at, messageIds: [id], userMessageIds: [id], fingerprint: "f" };
}

function start(tracker: MessageTracker, id: string, change?: Partial<typeof scope>): void {
  void tracker.open(deliveryOf(id, change));
  accept(tracker, id, change);
}

function accept(tracker: MessageTracker, id: string, change?: Partial<typeof scope>): void {
  const delivery = deliveryOf(id, change);
  tracker.markSent(delivery);
  tracker.applyOutcome(delivery.scope.environmentId, delivery.id, { kind: "accepted", disposition: "started" });
}

describe("writes of statuses", () => {
  test("a turn with many frames writes its message at most once a second, and its end immediately", async () => {
    const { clock, tracker, writes } = setUp();
    start(tracker, "m-1");
    for (let frame = 0; frame < 200; frame++) {
      tracker.receive("env-1", frame % 2 === 0 ? active : waiting);
      await clock.advance(10);
    }
    expect(writes.length).toBeLessThanOrEqual(2);
    tracker.receive("env-1", finished);
    expect(writes.at(-1)).toMatchObject([{ messageId: "m-1", status: { state: "finished" } }]);
    const count = writes.length;
    await clock.advance(60_000);
    expect(writes).toHaveLength(count);
  });

  test("the messages of many sends share a write", async () => {
    const { clock, tracker, writes } = setUp();
    for (let index = 0; index < 150; index++) start(tracker, `m-${index}`);
    await clock.advance(1_000);
    expect(writes.map((messages) => messages.length)).toEqual([150]);
  });

  test("a waiter for an end is called once the write of the end has finished, even if the store fails", async () => {
    const { clock, tracker, log } = setUp();
    start(tracker, "m-1");
    let ends = 0;
    const stop = tracker.onEnd("env-1", "m-1", () => void (ends += 1));
    tracker.receive("env-1", finished);
    expect(ends).toBe(0);
    expect(tracker.find("env-1", "m-1")).toMatchObject([{ status: { state: "finished" } }]);
    await clock.advance(0);
    expect(ends).toBe(1);
    expect(await log.readMessages("env-1", "m-1", 1)).toMatchObject([{ status: { state: "finished" } }]);
    expect(tracker.find("env-1", "m-1")).toEqual([]);
    stop();
  });
});

describe("resuming after a reconnect", () => {
  test("resuming names the conversations of a row each time, so that a caller that fails afterwards may try again", async () => {
    const { clock, tracker } = setUp();
    start(tracker, "m-1");
    await clock.advance(1_000);
    tracker.disconnect("env-1");
    tracker.connect({ environmentId: "env-1", tenant: "acme" }, true);
    const first = await tracker.resume("env-1");
    expect(first).toEqual([scope]);
    expect(await tracker.resume("env-1")).toEqual(first);
    expect(tracker.find("env-1", "m-1")).toHaveLength(1);
  });
});

describe("messages that an earlier process did not store", () => {
  const status = { ...receivedStatus, state: "unknown" } as const;
  const unsavedOf = (id: string, sentAt: number): StoredMessage => {
    const { id: deliveryId } = deliveryOf(id);
    return { scope, messageId: id, deliveryId, approvalPolicy: null, status, sentAt, updatedAt: sentAt };
  };

  test("resumed messages are followed in the order of their sends, and stored", async () => {
    const { clock, tracker, log } = setUp(async () => [unsavedOf("m-3", 3), unsavedOf("m-1", 1)]);
    await log.saveMessages([unsavedOf("m-2", 2)]);
    expect(await tracker.resume("env-1")).toHaveLength(3);
    expect(tracker.followed("env-1").map(({ messageId }) => messageId)).toEqual(["m-1", "m-2", "m-3"]);
    await clock.advance(1_000);
    expect(await log.readMessages("env-1", "m-1", 1)).toEqual([{ ...unsavedOf("m-1", 1), tenant: "acme" }]);
  });

  test("a send of this process that was not sent is not taken for one of a killed process", async () => {
    const delivery = deliveryOf("m-1");
    const { clock, tracker, log } = setUp(async () => [unsavedOf("m-1", 1)]);
    void tracker.open(delivery);
    tracker.discard(delivery);
    expect(await tracker.resume("env-1")).toEqual([]);
    await clock.advance(1_000);
    expect(await log.readMessages("env-1", "m-1", 1)).toEqual([]);
  });

  test("resumed messages are limited like other messages", async () => {
    const count = maxFollowedPerRow + 1;
    const { tracker } = setUp(async () => Array.from({ length: count }, (_, index) => unsavedOf(`m-${index}`, -index)));
    await tracker.resume("env-1");
    expect(tracker.followed("env-1")).toHaveLength(maxFollowedPerRow);
    expect(tracker.find("env-1", `m-${count - 1}`)).toEqual([]);
  });
});

describe("policies of messages", () => {
  const policy: ApprovalPolicy = { deniedTools: ["Bash"], deadlineMs: null };
  const slow: ApprovalPolicy = { deniedTools: ["Web*"], deadlineMs: 60_000 };
  const idle: TurnFrame = { ...active, activity: "idle" };
  const queue = (messageIds: string[], dequeued: string[] = []): TurnFrame => {
    const removed = dequeued.map((messageId) => ({ messageId, disposition: "dequeued" as const }));
    return { kind: "update_queue", runtime, messageIds, removed };
  };

  async function startWith(tracker: MessageTracker, id: string, sent: ApprovalPolicy): Promise<void> {
    await tracker.open(deliveryOf(id), sent);
    accept(tracker, id);
  }
  const runs = (activeRunIds: string[], messageIds: string[]): TurnFrame => ({
    ...active,
    activeRunIds,
    runs: [{ runId: "run-1", messageIds }],
  });
  function reconnect(tracker: MessageTracker): void {
    tracker.disconnect("env-1");
    tracker.connect({ environmentId: "env-1", tenant: "acme" }, true);
  }
  function overflow(tracker: MessageTracker): void {
    for (let index = 0; index < maxFollowedPerRow; index++)
      start(tracker, `m-x-${index}`, { conversationId: `c-${index}` });
  }

  test("the policies of messages that are too old to be followed count until their turn is over, even when its conversation is not followed", async () => {
    const { tracker } = setUp();
    await startWith(tracker, "m-0", policy);
    await startWith(tracker, "m-1", slow);
    overflow(tracker);
    expect(tracker.triggerOf("env-1", runtime)).toEqual({ messageId: null, policies: [policy, slow] });
    tracker.receive("env-1", finished);
    expect(tracker.triggerOf("env-1", runtime).policies).toEqual([]);
  });

  test.each([
    ["", true],
    [", also of a device that reports no removals", false],
  ])(
    "the policies of a message that waits behind a turn when it is no longer followed count for its own turn%s",
    async (_, hasRemovals) => {
      const { tracker } = setUp();
      start(tracker, "m-0");
      await tracker.open(deliveryOf("m-1"), policy);
      tracker.applyOutcome("env-1", "msg-m-1", { kind: "accepted", disposition: "queued" });
      tracker.receive("env-1", queue(["m-1"]));
      overflow(tracker);
      const taken = queue([], ["m-1"]);
      for (const frame of [idle, finished, active, queue(["m-1", "m-2"])]) {
        tracker.receive("env-1", frame);
        expect(tracker.triggerOf("env-1", runtime).policies).toEqual([]);
      }
      for (const frame of [idle, hasRemovals ? taken : { ...taken, removed: null }, active, queue(["m-3"])]) {
        tracker.receive("env-1", frame);
        expect(tracker.triggerOf("env-1", runtime).policies).toEqual(frame === idle ? [] : [policy]);
      }
      tracker.receive("env-1", hasRemovals ? finished : idle);
      expect(tracker.triggerOf("env-1", runtime).policies).toEqual([]);
    },
  );

  test.each([
    ["", []],
    [", also to a device that reports no removals", null],
  ])(
    "policies count once the device is back, until it reports that nothing runs and nothing waits%s",
    async (_, removed) => {
      const { tracker } = setUp();
      await tracker.open(deliveryOf("m-1"), policy);
      reconnect(tracker);
      expect(tracker.triggerOf("env-1", runtime).policies).toEqual([policy]);
      tracker.receive("env-1", idle);
      expect(tracker.triggerOf("env-1", runtime).policies).toEqual([policy]);
      tracker.receive("env-1", { kind: "update_queue", runtime, messageIds: [], removed });
      expect(tracker.triggerOf("env-1", runtime).policies).toEqual([]);
    },
  );

  test("the policies of a message that the device has queued do not count for the turn of another sender after a reconnect", async () => {
    const { tracker } = setUp();
    start(tracker, "m-1");
    await tracker.open(deliveryOf("m-2"), policy);
    tracker.applyOutcome("env-1", "msg-m-2", { kind: "accepted", disposition: "queued" });
    tracker.receive("env-1", queue(["m-2"]));
    reconnect(tracker);
    await tracker.resume("env-1");
    expect(tracker.triggerOf("env-1", runtime).policies).toEqual([policy]);
    tracker.receive("env-1", runs(["run-1"], ["m-1"]));
    tracker.receive("env-1", queue(["m-2"]));
    expect(tracker.triggerOf("env-1", runtime)).toEqual({ messageId: "m-1", policies: [] });
    for (const frame of [finished, queue([], ["m-2"]), active]) tracker.receive("env-1", frame);
    expect(tracker.triggerOf("env-1", runtime)).toMatchObject({
      messageId: "m-2",
      policies: expect.arrayContaining([policy]),
    });
    tracker.receive("env-1", finished);
    expect(tracker.triggerOf("env-1", runtime).policies).toEqual([]);
  });

  test("the policies of a message that a run lists do not count after this run", async () => {
    const { tracker } = setUp();
    await tracker.open(deliveryOf("m-1"), policy);
    reconnect(tracker);
    tracker.receive("env-1", runs(["run-1"], ["m-1"]));
    expect(tracker.triggerOf("env-1", runtime).policies).toEqual([policy]);
    tracker.receive("env-1", idle);
    expect(tracker.triggerOf("env-1", runtime).policies).toEqual([]);
  });

  test.each(["ended before the device disconnected", "was rejected after the device had come back"])(
    "the policies of a message that %s do not count for later turns",
    async (what) => {
      const { tracker } = setUp();
      if (what.startsWith("ended")) {
        await startWith(tracker, "m-1", policy);
        tracker.receive("env-1", { ...finished, stopReason: null });
        reconnect(tracker);
      } else {
        await tracker.open(deliveryOf("m-1"), policy);
        reconnect(tracker);
        await tracker.resume("env-1");
        tracker.applyOutcome("env-1", "msg-m-1", { kind: "rejected", error: null });
      }
      tracker.receive("env-1", active);
      expect(tracker.triggerOf("env-1", runtime).policies).toEqual([]);
    },
  );

  test("policies are stored before the message may be sent, so that a process that is killed then leaves them to the next one", async () => {
    const { tracker, log, writes } = setUp();
    const isStored = tracker.open(deliveryOf("m-1"), policy);
    expect(tracker.find("env-1", "m-1")).toEqual([]);
    await isStored;
    expect(tracker.find("env-1", "m-1")).toHaveLength(1);
    expect(await log.readMessages("env-1", "m-1", 1)).toMatchObject([{ approvalPolicy: policy }]);
    void tracker.open(deliveryOf("m-2"));
    expect(writes).toHaveLength(1);
  });

  test.each(["is discarded", "has lost its device when its policy is stored"])(
    "the policies of a message that %s do not apply, and the device is not asked about it",
    async (what) => {
      const { tracker, log } = setUp();
      const opened = tracker.open(deliveryOf("m-1"), policy);
      if (what === "is discarded") {
        await opened;
        tracker.discard(deliveryOf("m-1"));
      } else tracker.disconnect("env-1");
      await opened;
      reconnect(tracker);
      expect(await tracker.resume("env-1")).toEqual([]);
      expect(tracker.triggerOf("env-1", runtime).policies).toEqual([]);
      expect(await log.readMessages("env-1", "m-1", 1)).toMatchObject([{ status: { state: "failed" } }]);
    },
  );

  test("the policies of a removed row are forgotten", async () => {
    const { tracker } = setUp();
    await startWith(tracker, "m-1", policy);
    tracker.disconnect("env-1");
    tracker.forget("env-1");
    tracker.connect({ environmentId: "env-1", tenant: "acme" }, true);
    expect(tracker.triggerOf("env-1", runtime).policies).toEqual([]);
  });

  test("the policies of one tenant do not evict those of another, however many there are", async () => {
    const { tracker } = setUp();
    const add = async (tenant: string, environmentId: string, count: number): Promise<void> => {
      tracker.connect({ environmentId, tenant }, true);
      for (let index = 0; index < count; index++)
        await tracker.open(deliveryOf(`m-${index}`, { environmentId }), policy);
      tracker.disconnect(environmentId);
    };
    await add("acme", "env-a", 1);
    for (let row = 0; row <= maxFollowedMessages / maxFollowedPerRow; row++)
      await add("other", `env-${row}`, maxFollowedPerRow);
    expect(tracker.triggerOf("env-a", runtime).policies).toEqual([policy]);
    expect(tracker.triggerOf("env-0", runtime).policies).toEqual([]);
  });
});

describe("limits of the tracker", () => {
  test("when too many messages are followed, the oldest becomes unknown", async () => {
    const { clock, tracker, log } = setUp();
    for (let index = 0; index <= maxFollowedPerRow; index++) start(tracker, `m-${index}`);
    await clock.advance(1_000);
    expect(tracker.find("env-1", "m-0")).toEqual([]);
    expect(await log.readMessages("env-1", "m-0", 1)).toMatchObject([{ status: { state: "unknown" } }]);
    expect(tracker.find("env-1", "m-1")).toHaveLength(1);
  });

  test("while the store fails, a tenant with many messages that have ended causes no loss of the end of another tenant's message", async () => {
    const { clock, tracker, log, store } = setUp();
    store.fails = true;
    tracker.connect({ environmentId: "env-2", tenant: "hostile" }, true);
    start(tracker, "m-1");
    tracker.receive("env-1", finished);
    for (let count = 0; count <= maxFollowedMessages; count++) {
      const delivery = deliveryOf(`h-${count}`, { environmentId: "env-2" });
      void tracker.open(delivery);
      tracker.applyOutcome("env-2", delivery.id, { kind: "rejected", error: null });
    }
    await clock.advance(0);
    expect(tracker.find("env-1", "m-1")).toMatchObject([{ status: { state: "finished" } }]);
    expect(tracker.find("env-2", "h-0")).toEqual([]);
    expect(tracker.followed("env-2")).toHaveLength(maxFollowedMessages - 1);
    store.fails = false;
    await clock.advance(1_000);
    expect(await log.readMessages("env-1", "m-1", 1)).toMatchObject([{ status: { state: "finished" } }]);
    expect([tracker.followed("env-1"), tracker.followed("env-2")]).toEqual([[], []]);
  });

  test("the texts of all rows and conversations share a limit, and the tenant with the most loses its oldest", async () => {
    const { clock, tracker, log } = setUp();
    const text = "x".repeat(maxReplyLength);
    const speak = (environmentId: string, conversationId: string): void => {
      start(tracker, "m-1", { environmentId, conversationId });
      const frame = { kind: "assistant_text", runtime: { ...runtime, conversationId }, id: "a", key: null } as const;
      // The oldest one is not the longest.
      tracker.receive(environmentId, { ...frame, text: conversationId === "c-0" ? text.slice(1) : text });
    };
    speak("env-1", "default");
    const conversations = Array.from({ length: maxRepliesLength / maxReplyLength / 2 }, (_, index) => `c-${index}`);
    for (const environmentId of ["env-2", "env-3"]) {
      tracker.connect({ environmentId, tenant: "hostile" }, true);
      for (const conversationId of conversations) speak(environmentId, conversationId);
    }
    const readReply = async (environmentId: string, conversationId: string) => {
      tracker.receive(environmentId, { ...finished, runtime: { ...runtime, conversationId } });
      await clock.advance(0);
      const messages = await log.readMessages(environmentId, "m-1", maxFollowedPerRow);
      return messages.find(({ scope: at }) => at.conversationId === conversationId)?.status.reply;
    };
    const dropped = { text: "", isTruncated: true };
    expect(await readReply("env-1", "default")).toEqual({ text, isTruncated: false });
    expect(await readReply("env-2", "c-0")).toEqual(dropped);
    expect(await readReply("env-2", "c-1")).toEqual({ text, isTruncated: false });
  });
});
