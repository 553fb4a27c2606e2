import { beforeEach, describe, expect, test } from "vitest";
import type { MessageLog, MessageState, StoredMessage } from "../src/index.ts";

const dayMs = 24 * 3_600_000;

const message: StoredMessage = {
  scope: { environmentId: "env-1", agentId: "agent-1", conversationId: "default" },
  messageId: "m-1",
  deliveryId: "msg-1",
  status: {
    state: "finished",
    disposition: "started",
    stopReason: "end_turn",
    error: null,
    usage: { totalTokens: 7 },
    durationMs: 40,
    reply: { text: "pong", isTruncated: true },
  },
  sentAt: 1_000,
  updatedAt: 2_000,
};

const inState = (state: MessageState, change: Partial<StoredMessage> = {}): StoredMessage => ({
  ...message,
  status: { ...message.status, state },
  ...change,
});

/** The contract suite of a store for the statuses of messages. Where a log has rows, `env-1` and `env-2` exist. */
export function describeMessageLogContract(name: string, createLog: () => MessageLog | Promise<MessageLog>): void {
  describe(`statuses of messages: ${name}`, () => {
    let log: MessageLog;
    beforeEach(async () => {
      log = await createLog();
    });

    test("a saved message is read with everything, and saving it again replaces its status", async () => {
      await log.saveMessages([inState("running", { status: { ...message.status, state: "running", reply: null } })]);
      await log.saveMessages([message]);
      expect(await log.readMessages("env-1", "m-1", 10)).toEqual([message]);
      expect(await log.readMessages("env-1", "m-2", 10)).toEqual([]);
      expect(await log.readMessages("env-2", "m-1", 10)).toEqual([]);
    });

    test("the same id in several conversations is several messages, the latest first, up to a limit", async () => {
      const other = { ...message, scope: { ...message.scope, conversationId: "conv-2" }, sentAt: 3_000 };
      const third = { ...message, scope: { ...message.scope, agentId: "" }, sentAt: 2_000 };
      await log.saveMessages([message, other, third]);
      expect(await log.readMessages("env-1", "m-1", 10)).toEqual([other, third, message]);
      expect(await log.readMessages("env-1", "m-1", 1)).toEqual([other]);
    });

    test("findOpenMessages returns the messages of a row that have not ended, the latest first", async () => {
      const open = (["received", "sent", "accepted", "running", "waiting_for_approval", "unknown"] as const).map(
        (state, index) => inState(state, { messageId: `open-${index}`, sentAt: 1_000 + index }),
      );
      const ended = (["finished", "cancelled", "evicted", "failed"] as const).map((state) =>
        inState(state, { messageId: state }),
      );
      await log.saveMessages([...open, ...ended]);
      await log.saveMessages([inState("sent", { scope: { ...message.scope, environmentId: "env-2" } })]);
      expect(await log.findOpenMessages("env-1", 100)).toEqual(open.toReversed());
      expect(await log.findOpenMessages("env-1", 2)).toHaveLength(2);
    });

    test("a status is kept for 30 days, and pruned in batches after that", async () => {
      const old = [1, 2, 3].map((number) => ({ ...message, messageId: `m-${number}` }));
      await log.saveMessages([...old, { ...message, messageId: "m-4", sentAt: 2_000 }]);
      const nowMs = 1_000 + 30 * dayMs;
      expect(await log.pruneMessages(nowMs - 1, 10)).toBe(false);
      expect(await log.readMessages("env-1", "m-1", 1)).toHaveLength(1);
      expect(await log.pruneMessages(nowMs, 2)).toBe(true);
      expect(await log.pruneMessages(nowMs, 2)).toBe(false);
      const left = await Promise.all(["m-1", "m-2", "m-3", "m-4"].map((id) => log.readMessages("env-1", id, 1)));
      expect(left.map((found) => found.length)).toEqual([0, 0, 0, 1]);
    });

    test("of a row with more than 10,000 messages the oldest are pruned, and no other row's", async () => {
      const many = Array.from({ length: 10_003 }, (_, index) => ({
        ...message,
        messageId: `m-${index}`,
        sentAt: 5_000 + index,
      }));
      await log.saveMessages(many);
      await log.saveMessages([{ ...message, scope: { ...message.scope, environmentId: "env-2" } }]);
      while (await log.pruneMessages(100_000, 200));
      const counts = await Promise.all(
        ["m-0", "m-2", "m-3", "m-10002"].map(async (id) => (await log.readMessages("env-1", id, 1)).length),
      );
      expect(counts).toEqual([0, 0, 1, 1]);
      expect(await log.readMessages("env-2", "m-1", 1)).toHaveLength(1);
    });
  });
}
