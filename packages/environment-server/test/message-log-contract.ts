import { beforeEach, describe, expect, test } from "vitest";
import type {
  MessageFilter,
  MessageLog,
  MessageLogLimits,
  MessagePosition,
  MessageState,
  StoredMessage,
} from "../src/index.ts";
import type { LogUnderTest } from "./support/log-under-test.ts";

const dayMs = 24 * 3_600_000;

export const message: StoredMessage = {
  scope: { environmentId: "env-1", agentId: "agent-1", conversationId: "default" },
  messageId: "m-1",
  deliveryId: "msg-1",
  approvalPolicy: null,
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

const unlimited: MessageLogLimits = { durationMs: 1e12, maxPerRow: 1e6, maxMessages: 1e6, maxReplies: 1e9 };

const numbered = (count: number, change: Partial<StoredMessage> = {}): StoredMessage[] =>
  Array.from({ length: count }, (_, index) => ({
    ...message,
    ...change,
    messageId: `m-${index}`,
    sentAt: 5_000 + index,
  }));

const inState = (state: MessageState, change: Partial<StoredMessage> = {}): StoredMessage => ({
  ...message,
  status: { ...message.status, state },
  ...change,
});

/** The contract suite of a store for the statuses of messages. Where a log has rows, it has `env-1` and `env-2` of the tenant `acme`, and `env-3` of `other`. */
export function describeMessageLogContract(
  name: string,
  create: (limits?: MessageLogLimits) => LogUnderTest<MessageLog> | Promise<LogUnderTest<MessageLog>>,
): void {
  describe(`statuses of messages: ${name}`, () => {
    let log: MessageLog;
    let store: LogUnderTest<MessageLog>;
    async function open(limits?: Partial<MessageLogLimits>): Promise<void> {
      store = await create(limits && { ...unlimited, ...limits });
      ({ log } = store);
    }
    const isStored = async (messageId: string): Promise<boolean> =>
      (await log.readMessages("env-1", messageId, 1)).length === 1;
    beforeEach(() => open());

    test("a saved message is returned complete, and saving it again replaces its status", async () => {
      await log.saveMessages([inState("running", { status: { ...message.status, state: "running", reply: null } })]);
      await log.saveMessages([message]);
      expect(await log.readMessages("env-1", "m-1", 10)).toEqual([message]);
      expect(await log.readMessages("env-1", "m-2", 10)).toEqual([]);
      expect(await log.readMessages("env-2", "m-1", 10)).toEqual([]);
    });

    test("the end of a message stays when a state from before its end is saved late, and another send of its id replaces it", async () => {
      for (const state of ["finished", "cancelled", "evicted", "failed"] as const) {
        const ended = inState(state, { messageId: state });
        await log.saveMessages([ended]);
        await log.saveMessages([inState("unknown", { messageId: state, updatedAt: 3_000 })]);
        expect(await log.readMessages("env-1", state, 1)).toEqual([ended]);
      }
      expect(await log.findOpenMessages("env-1", 10)).toEqual([]);
      const completed = inState("finished", { messageId: "failed", updatedAt: 4_000 });
      const next = inState("received", { messageId: "finished", deliveryId: "msg-2" });
      await log.saveMessages([completed, next]);
      expect(await log.readMessages("env-1", "failed", 1)).toEqual([completed]);
      expect(await log.readMessages("env-1", "finished", 1)).toEqual([next]);
      expect(await log.findOpenMessages("env-1", 10)).toEqual([next]);
    });

    test("a message is read with the policy of its sender", async () => {
      const approvalPolicy = { deniedTools: ["Bash"], deadlineMs: 60_000 };
      const open = inState("running", { approvalPolicy });
      await log.saveMessages([open]);
      expect(await log.findOpenMessages("env-1", 10)).toEqual([open]);
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

    describe("lists of the messages of a row", () => {
      const all: MessageFilter = {
        environmentId: "env-1",
        after: null,
        withReplies: true,
        limit: 100,
      };
      const placeOf = ({ scope, messageId, sentAt }: StoredMessage): MessagePosition => ({
        ...{ sentAt, messageId, agentId: scope.agentId, conversationId: scope.conversationId },
      });
      /** Reads every page. */
      async function readPages(limit: number): Promise<StoredMessage[]> {
        const found: StoredMessage[] = [];
        for (let after: MessagePosition | null = null; ;) {
          const page = await log.listMessages({ ...all, after, limit });
          expect(page.length).toBeLessThanOrEqual(limit);
          const last = page.at(-1);
          if (last === undefined) return found;
          found.push(...page);
          after = placeOf(last);
        }
      }

      test("messages of a row are listed the latest first, page by page, without those of other rows", async () => {
        const saved = numbered(25);
        await log.saveMessages(saved);
        await log.saveMessages(numbered(3, { scope: { ...message.scope, environmentId: "env-2" } }));
        expect(await readPages(10)).toEqual(saved.toReversed());
        expect(await log.listMessages({ ...all, environmentId: "env-3" })).toEqual([]);
      });

      test("messages of a row are listed once each, even if many were sent at the same time", async () => {
        const same = numbered(130).map((one) => ({ ...one, sentAt: 5_000 }));
        await log.saveMessages([
          { ...message, messageId: "first" },
          ...same,
          { ...message, messageId: "later", sentAt: 6_000 },
        ]);
        for (const limit of [1, 7, 100]) {
          const found = (await readPages(limit)).map(({ messageId }) => messageId);
          expect(found).toHaveLength(132);
          expect([found[0], found.at(-1)]).toEqual(["later", "first"]);
          expect(new Set(found)).toEqual(new Set(["later", "first", ...same.map(({ messageId }) => messageId)]));
        }
      });

      test("messages of several agents and conversations are listed together, page by page", async () => {
        const strange = 'agent "2"\\';
        const scopes = ["agent-1", strange, ""].flatMap((agentId) =>
          ["default", "conv-2"].map((conversationId) => ({ ...message.scope, agentId, conversationId })),
        );
        const saved = scopes.flatMap((scope, index) =>
          numbered(4, { scope }).map((one) => ({ ...one, sentAt: one.sentAt + 10 * index })),
        );
        await log.saveMessages(saved);
        expect(await readPages(3)).toEqual(saved.toReversed());
      });

      test("messages of a row are listed with their replies, or without", async () => {
        await log.saveMessages([message]);
        expect(await log.listMessages(all)).toEqual([message]);
        const status = { ...message.status, reply: null };
        expect(await log.listMessages({ ...all, withReplies: false })).toEqual([{ ...message, status }]);
      });

      test("a list continues from the time of a message that was removed meanwhile", async () => {
        await log.saveMessages(numbered(3));
        const after = { sentAt: 5_002, messageId: "gone", agentId: "agent-1", conversationId: "default" };
        const found = await log.listMessages({ ...all, after });
        expect(found.map(({ messageId }) => messageId).filter((id) => id !== "m-2")).toEqual(["m-1", "m-0"]);
      });
    });

    test("a status is kept for 30 days, and then pruned in batches", async () => {
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

    test("a row with too many messages loses its oldest ones, and no other row does", async () => {
      await open({ maxPerRow: 50 });
      await log.saveMessages(numbered(53));
      await log.saveMessages([{ ...message, scope: { ...message.scope, environmentId: "env-2" } }]);
      while (await log.pruneMessages(100_000, 20));
      expect(await Promise.all(["m-0", "m-2", "m-3", "m-52"].map(isStored))).toEqual([false, false, true, true]);
      expect(await log.readMessages("env-2", "m-1", 1)).toHaveLength(1);
    });

    test("a row that keeps exceeding its limit causes no loss of messages in other rows", async () => {
      await open({ maxPerRow: 2, maxMessages: 5 });
      await log.saveMessages([message]);
      const scope = { ...message.scope, environmentId: "env-2" };
      for (const later of numbered(20, { scope })) {
        await log.saveMessages([later]);
        while (await log.pruneMessages(100_000, 10));
      }
      expect(await isStored("m-1")).toBe(true);
      const kept = await Promise.all(["m-17", "m-18", "m-19"].map((id) => log.readMessages("env-2", id, 1)));
      expect(kept.map((found) => found.length)).toEqual([0, 1, 1]);
    });

    describe("when there are too many messages", () => {
      const inRow = (
        tenant: string,
        environmentId: string,
        count: number,
        state: MessageState,
      ): readonly StoredMessage[] =>
        numbered(count, {
          ...{ tenant, scope: { ...message.scope, environmentId } },
          status: { ...message.status, state, reply: null },
        });
      async function prune(): Promise<readonly number[]> {
        // The time by which they expire may lie behind their own.
        while (await log.pruneMessages(1, 5));
        const rows = ["env-1", "env-2", "env-3"].map((environmentId) =>
          log.listMessages({ environmentId, after: null, withReplies: false, limit: 100 }),
        );
        return (await Promise.all(rows)).map((found) => found.length);
      }

      test.each(["unknown", "finished"] as const)(
        "the tenant with the most loses the oldest of its row with the most (%s)",
        async (state) => {
          await open({ maxPerRow: 20, maxMessages: 18 });
          await log.saveMessages([
            ...inRow("other", "env-3", 8, state),
            ...inRow("acme", "env-2", 5, state),
            ...inRow("acme", "env-1", 7, state),
          ]);
          expect(await prune()).toEqual([5, 5, 8]);
          expect(await Promise.all(["m-1", "m-2"].map(isStored))).toEqual([false, true]);
        },
      );

      test("a tenant with few keeps its own, even if they have ended and those of the tenant with the most have not", async () => {
        await open({ maxMessages: 20 });
        await log.saveMessages([...inRow("other", "env-3", 5, "finished"), ...inRow("acme", "env-1", 30, "unknown")]);
        expect(await prune()).toEqual([15, 0, 5]);
      });

      test("all of its row with the most are removed, and some of the next one, if that is necessary", async () => {
        await open({ maxMessages: 2 });
        await log.saveMessages([
          ...inRow("other", "env-3", 1, "finished"),
          ...inRow("acme", "env-2", 3, "finished"),
          ...inRow("acme", "env-1", 4, "finished"),
        ]);
        expect(await prune()).toEqual([0, 1, 1]);
      });

      test("messages of a tenant that were removed do not count", async () => {
        await open({ maxMessages: 8 });
        const unknown = inState("unknown").status;
        const other = inRow("other", "env-3", 13, "finished");
        await log.saveMessages(other.map((one, index) => (index < 10 ? one : { ...one, status: unknown })));
        await log.saveMessages(inRow("acme", "env-1", 7, "unknown"));
        expect(await prune()).toEqual([5, 0, 3]);
      });
    });

    test("messages are pruned, the oldest first, until their texts are short enough, even after a text was replaced", async () => {
      await open({ maxReplies: 1_000 });
      const reply = { text: "x".repeat(100), isTruncated: false };
      const long = numbered(30, { status: { ...message.status, reply } });
      await log.saveMessages(long);
      await log.saveMessages(long.slice(20).map((one) => ({ ...one, status: { ...one.status, reply: null } })));
      while (await log.pruneMessages(100_000, 5));
      expect(await Promise.all(["m-4", "m-10", "m-19", "m-29"].map(isStored))).toEqual([false, true, true, true]);
    });

    describe("messages that have not ended stay, because the policy of a turn is stored with them", () => {
      const elsewhere = { ...message.scope, environmentId: "env-2" };
      const approvalPolicy = { deniedTools: [], deadlineMs: null };
      const status = { ...message.status, state: "running" as const, reply: null };
      const running = inState("running", { scope: elsewhere, approvalPolicy, status });
      async function prune(): Promise<void> {
        while (await log.pruneMessages(100_000, 5));
      }

      test("when there are too many messages", async () => {
        await open({ maxMessages: 10 });
        const own = { ...running, scope: message.scope, messageId: "open" };
        await log.saveMessages([own, ...numbered(20)]);
        await prune();
        expect(await log.findOpenMessages("env-1", 10)).toEqual([own]);
        expect(await Promise.all(["m-10", "m-11", "m-19"].map(isStored))).toEqual([false, true, true]);
      });

      test("when the texts of all messages are too long", async () => {
        await open({ maxReplies: 1_000 });
        const reply = { text: "x".repeat(100), isTruncated: false };
        await log.saveMessages([running, ...numbered(20, { status: { ...message.status, reply } })]);
        await prune();
        expect(await log.findOpenMessages("env-2", 10)).toEqual([running]);
        expect(await Promise.all(["m-9", "m-10", "m-19"].map(isStored))).toEqual([false, true, true]);
      });

      test("when there are too many messages in their row", async () => {
        await open({ maxPerRow: 10 });
        const own = { ...running, scope: message.scope, messageId: "open" };
        await log.saveMessages([own, ...numbered(20)]);
        await prune();
        expect(await log.findOpenMessages("env-1", 10)).toEqual([own]);
        expect(await Promise.all(["m-10", "m-11"].map(isStored))).toEqual([false, true]);
      });

      test("when there are too many in their row, however many of them precede those that have ended", async () => {
        await open({ maxPerRow: 40 });
        const unknown = inState("unknown").status;
        const isOpen = (index: number): boolean => index < 30 || index === 31;
        await log.saveMessages(numbered(50).map((one, index) => (isOpen(index) ? { ...one, status: unknown } : one)));
        await prune();
        const left = await log.listMessages({ environmentId: "env-1", after: null, withReplies: false, limit: 100 });
        const others = [31, 41, 42, 43, 44, 45, 46, 47, 48, 49];
        const numbers = [...Array.from({ length: 30 }, (_, index) => index), ...others];
        expect(left.map(({ messageId }) => messageId).toReversed()).toEqual(numbers.map((number) => `m-${number}`));
      });

      test("when the texts are too long, however many of them precede those that have ended, which are removed the oldest first", async () => {
        const unfinished = numbered(20_001, { status: { ...message.status, state: "unknown", reply: null } });
        await open({ maxReplies: 20 });
        const ended = (scope: StoredMessage["scope"], sentAt: number): StoredMessage[] =>
          numbered(3, { scope }).map((one, index) => ({ ...one, messageId: `ended-${index}`, sentAt: sentAt + index }));
        for (let from = 0; from < unfinished.length; from += 1_000)
          await log.saveMessages(unfinished.slice(from, from + 1_000));
        await log.saveMessages([...ended(elsewhere, 50_000), ...ended(message.scope, 60_000)]);
        await prune();
        expect(await log.readMessages("env-1", "m-0", 1)).toHaveLength(1);
        expect(await Promise.all(["ended-0", "ended-1", "ended-2"].map(isStored))).toEqual([false, false, true]);
        expect(await log.readMessages("env-2", "ended-2", 1)).toEqual([]);
      }, 60_000);
    });

    test("removing a row removes its messages, and later saves for it are ignored", async () => {
      await log.saveMessages([...numbered(3), { ...message, scope: { ...message.scope, environmentId: "env-2" } }]);
      await store.removeRow("env-1");
      await log.saveMessages(numbered(2));
      expect(await isStored("m-0")).toBe(false);
      expect(await log.findOpenMessages("env-1", 10)).toEqual([]);
      expect(await log.readMessages("env-2", "m-1", 1)).toHaveLength(1);
    });

    test("ids and texts of every kind are returned as they were saved", async () => {
      const strange = ['"],["', "\\", "ä\u0001\n", "emoji 🙂", ""];
      const scopes = strange.map((text) => ({ environmentId: "env-1", agentId: text, conversationId: text }));
      const all = scopes.map((scope, index) => ({ ...message, scope, sentAt: 9_000 - index }));
      await log.saveMessages([
        ...all,
        { ...message, messageId: 'm-1","a' },
        { ...message, messageId: "m-1", scope: { ...message.scope, environmentId: "env-2" } },
      ]);
      expect(await log.readMessages("env-1", "m-1", 10)).toEqual(all);
      expect(await log.readMessages("env-1", 'm-1","a', 10)).toHaveLength(1);
    });
  });
}
