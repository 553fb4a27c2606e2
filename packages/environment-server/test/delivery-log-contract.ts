import { beforeEach, describe, expect, test } from "vitest";
import type { Delivery, EnvironmentStore } from "../src/index.ts";
import { enrolment } from "./enrolment.ts";

const hourMs = 3_600_000;

const scope = { environmentId: "env-1", agentId: "agent-1", conversationId: "default" };
const delivery: Delivery = { id: "msg-1", scope, messageIds: ["m-1", "m-2"], fingerprint: "f-1" };

/** The contract suite of a store's message ids and outcomes. */
export function describeDeliveryLogContract(name: string, createStore: () => EnvironmentStore): void {
  describe(`message ids and outcomes: ${name}`, () => {
    let store: EnvironmentStore;
    beforeEach(() => {
      store = createStore();
    });

    test("reserve takes all ids or none, and findMessages returns them with their send", async () => {
      expect(await store.reserve(delivery, 1_000)).toBe(true);
      expect(await store.reserve({ ...delivery, id: "msg-2", messageIds: ["m-3", "m-2"] }, 1_000)).toBe(false);
      const known = await store.findMessages(scope, ["m-1", "m-2", "m-3"], 1_000);
      expect(known.toSorted((left, right) => (left.messageId < right.messageId ? -1 : 1))).toEqual([
        { messageId: "m-1", deliveryId: "msg-1", fingerprint: "f-1", outcome: null },
        { messageId: "m-2", deliveryId: "msg-1", fingerprint: "f-1", outcome: null },
      ]);
    });

    test("the same id in another row, agent or conversation is a different message", async () => {
      await store.reserve(delivery, 1_000);
      for (const change of [{ environmentId: "env-2" }, { agentId: "" }, { conversationId: "conv-2" }]) {
        const other = { ...scope, ...change };
        expect(await store.findMessages(other, ["m-1"], 1_000)).toEqual([]);
        expect(await store.reserve({ ...delivery, id: `msg-${JSON.stringify(change)}`, scope: other }, 1_000)).toBe(
          true,
        );
      }
    });

    test("findUses returns the use of an id in each conversation of a row, with its outcome, within 24 hours", async () => {
      await store.reserve(delivery, 1_000);
      const other = { ...scope, agentId: "", conversationId: "conv-2" };
      await store.reserve({ ...delivery, id: "msg-2", scope: other, messageIds: ["m-1"] }, 2_000);
      await store.reserve({ ...delivery, id: "msg-3", scope: { ...scope, environmentId: "env-2" } }, 2_000);
      await store.settle("msg-2", "env-1", { kind: "accepted", disposition: "queued" });
      const second = { scope: other, deliveryId: "msg-2", reservedAt: 2_000, outcome: { kind: "accepted" } };
      const uses = await store.findUses("env-1", "m-1", 3_000, 10);
      expect(uses).toMatchObject([second, { scope, deliveryId: "msg-1", reservedAt: 1_000, outcome: null }]);
      expect(await store.findUses("env-1", "m-1", 1_000 + 24 * hourMs, 10)).toMatchObject([second]);
      expect(await store.findUses("env-1", "m-1", 3_000, 1)).toHaveLength(1);
      expect(await store.findUses("env-1", "m-9", 3_000, 10)).toEqual([]);
    });

    test("settle replaces unknown with a device result, and never the reverse", async () => {
      await store.reserve(delivery, 1_000);
      const outcome = async (): Promise<unknown> => (await store.findMessages(scope, ["m-1"], 1_000))[0]?.outcome;
      expect(await store.settle("msg-1", "env-1", { kind: "unknown" })).toBe(true);
      expect(await store.settle("msg-1", "env-1", { kind: "unknown" })).toBe(false);
      expect(await store.settle("msg-1", "env-1", { kind: "rejected", error: "full" })).toBe(true);
      expect(await outcome()).toEqual({ kind: "rejected", error: "full" });
      expect(await store.settle("msg-1", "env-1", { kind: "unknown" })).toBe(false);
      expect(await store.settle("msg-1", "env-1", { kind: "accepted", disposition: "queued" })).toBe(false);
      expect(await outcome()).toEqual({ kind: "rejected", error: "full" });
    });

    test("findRuns returns the rows of a tenant that accepted a message of a conversation, the latest first", async () => {
      const ids = ["env-1", "env-2", "env-3"];
      for (const environmentId of ids) {
        const tenant = environmentId === "env-3" ? "other" : "acme";
        await store.enrol({
          ...enrolment,
          tenant,
          deviceId: environmentId,
          environmentId,
          connectionId: environmentId,
        });
      }
      const send = async (id: string, environmentId: string, nowMs: number, isAccepted = true): Promise<void> => {
        await store.reserve({ ...delivery, id, scope: { ...scope, environmentId }, messageIds: [id] }, nowMs);
        const accepted = { kind: "accepted", disposition: "started" } as const;
        await store.settle(id, environmentId, isAccepted ? accepted : { kind: "rejected", error: null });
      };
      const runs = (conversationId = "default", limit = 10): ReturnType<EnvironmentStore["findRuns"]> =>
        store.findRuns("acme", "agent-1", conversationId, limit);
      expect(await runs()).toEqual([]);
      await send("a", "env-1", 1_000);
      await send("b", "env-2", 2_000);
      await send("c", "env-3", 3_000);
      await send("d", "env-1", 4_000, false);
      const latest = { environmentId: "env-2", usedAt: 2_000 };
      expect(await runs()).toEqual([latest, { environmentId: "env-1", usedAt: 1_000 }]);
      expect(await runs("default", 1)).toEqual([latest]);
      expect(await runs("other")).toEqual([]);
      await send("e", "env-1", 5_000);
      expect(await runs()).toEqual([{ environmentId: "env-1", usedAt: 5_000 }, latest]);
      await store.prune(100 * hourMs, 100);
      expect(await runs()).toHaveLength(2);
      await store.removeEnvironments(["env-1"]);
      expect(await runs()).toEqual([latest]);
      await send("f", "env-1", 6_000);
      expect(await runs()).toEqual([latest]);
    });

    test("a row remembers the last 1,000 conversations that ran on it", async () => {
      await store.enrol(enrolment);
      for (let index = 0; index <= 1_000; index++) {
        const own = { ...scope, conversationId: `conv-${index}` };
        await store.reserve({ ...delivery, id: `d-${index}`, scope: own, messageIds: [`m-${index}`] }, 1_000 + index);
        await store.settle(`d-${index}`, "env-1", { kind: "accepted", disposition: null });
      }
      const isKnown = async (index: number): Promise<boolean> =>
        (await store.findRuns("acme", "agent-1", `conv-${index}`, 1)).length === 1;
      expect([await isKnown(0), await isKnown(1), await isKnown(1_000)]).toEqual([false, true, true]);
    });

    test("settle stores an outcome only for the row of the send", async () => {
      await store.reserve(delivery, 1_000);
      expect(await store.settle("msg-1", "env-2", { kind: "accepted", disposition: null })).toBe(false);
      expect(await store.settle("msg-9", "env-1", { kind: "accepted", disposition: null })).toBe(false);
      expect(await store.settle("msg-1", "env-1", { kind: "accepted", disposition: "started" })).toBe(true);
    });

    test("released ids can be reserved again, also after an unknown outcome, and a send with a result is never released", async () => {
      await store.reserve(delivery, 1_000);
      await store.release("msg-1");
      expect(await store.findMessages(scope, ["m-1", "m-2"], 1_000)).toEqual([]);
      expect(await store.reserve({ ...delivery, id: "msg-late" }, 1_000)).toBe(true);
      await store.settle("msg-late", "env-1", { kind: "unknown" });
      await store.release("msg-late");
      expect(await store.reserve({ ...delivery, id: "msg-2" }, 1_000)).toBe(true);
      await store.settle("msg-2", "env-1", { kind: "accepted", disposition: null });
      await store.release("msg-2");
      expect(await store.findMessages(scope, ["m-1"], 1_000)).toHaveLength(1);
    });

    test("findUnresolved returns the sends to a row without a result, the latest first, within 24 hours", async () => {
      await store.reserve(delivery, 1_000);
      await store.reserve({ ...delivery, id: "msg-2", messageIds: ["m-3"] }, 2_000);
      await store.reserve({ ...delivery, id: "msg-3", messageIds: ["m-4"] }, 3_000);
      await store.reserve({ ...delivery, id: "msg-4", scope: { ...scope, environmentId: "env-2" } }, 4_000);
      await store.settle("msg-2", "env-1", { kind: "unknown" });
      await store.settle("msg-3", "env-1", { kind: "accepted", disposition: null });
      const conversation = { agentId: "agent-1", conversationId: "default" };
      const second = { deliveryId: "msg-2", ...conversation, messageIds: ["m-3"] };
      const found = await store.findUnresolved("env-1", 5_000, 100);
      expect(found).toMatchObject([second, { deliveryId: "msg-1", ...conversation }]);
      expect(found[1]?.messageIds.toSorted()).toEqual(["m-1", "m-2"]);
      // A send that the limit may have cut is left out.
      expect(await store.findUnresolved("env-1", 5_000, 2)).toEqual([second]);
      expect(await store.findUnresolved("env-1", 1_000 + 24 * hourMs, 100)).toEqual([second]);
    });

    test("findLastUses returns the sends shortly before the last one, to any row, latest first, without rejected ones", async () => {
      const other = { ...scope, agentId: "", conversationId: "conv-2" };
      const another = { ...scope, environmentId: "env-2" };
      await store.enrol(enrolment);
      expect(await store.findLastUses(60_000, 3_000, 10)).toEqual([]);
      await store.reserve({ ...delivery, id: "msg-1", messageIds: ["m-1"] }, 5_000);
      await store.reserve({ ...delivery, id: "msg-2", scope: other, messageIds: ["m-2"] }, 5_001);
      await store.reserve({ ...delivery, id: "msg-3", scope: another, messageIds: ["m-3"] }, 6_000);
      await store.reserve({ ...delivery, id: "msg-4", messageIds: ["m-4"] }, 7_000);
      await store.reserve({ ...delivery, id: "msg-5", messageIds: ["m-5", "m-6"] }, 8_000);
      const accepted = { kind: "accepted", disposition: "started" } as const;
      const idsOf = async (nowMs: number, limit = 10): Promise<readonly string[]> =>
        (await store.findLastUses(nowMs, 3_000, limit)).map(({ deliveryId }) => deliveryId);
      for (const id of ["msg-1", "msg-2"]) await store.settle(id, "env-1", accepted);
      await store.settle("msg-4", "env-1", { kind: "rejected", error: "full" });
      expect(await store.findLastUses(60_000, 3_000, 10)).toMatchObject([
        { deliveryId: "msg-5", scope, outcome: null, reservedAt: 8_000 },
        { deliveryId: "msg-5", scope, outcome: null, reservedAt: 8_000 },
        { messageId: "m-3", deliveryId: "msg-3", scope: another, outcome: null, reservedAt: 6_000 },
        { messageId: "m-2", deliveryId: "msg-2", scope: other, outcome: accepted, reservedAt: 5_001 },
      ]);
      expect(await idsOf(6_000 + 24 * hourMs)).toEqual(["msg-5", "msg-5"]);
      expect(await idsOf(60_000, 3)).toEqual(["msg-5", "msg-5"]);
      expect(await idsOf(60_000, 2)).toEqual([]);
    });

    test("prune removes at most the given number of sends, and returns whether there may be more", async () => {
      for (const number of [1, 2, 3]) {
        await store.reserve({ ...delivery, id: `msg-${number}`, messageIds: [`m-${number}`] }, 1_000);
      }
      const nowMs = 1_000 + 24 * hourMs;
      expect([await store.prune(nowMs, 2), await store.prune(nowMs, 2)]).toEqual([true, false]);
    });

    test("an id is remembered for 24 hours and then free, pruned or not", async () => {
      await store.reserve(delivery, 1_000);
      expect(await store.findMessages(scope, ["m-1"], 999 + 24 * hourMs)).toHaveLength(1);
      expect(await store.findMessages(scope, ["m-1"], 1_000 + 24 * hourMs)).toEqual([]);
      expect(await store.reserve({ ...delivery, id: "msg-2" }, 1_000 + 24 * hourMs)).toBe(true);
    });
  });
}
