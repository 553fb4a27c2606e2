import { beforeEach, describe, expect, test } from "vitest";
import type { ApprovalKey, ApprovalLog, ApprovalLogLimits, StoredApproval } from "../src/index.ts";
import type { LogUnderTest } from "./support/log-under-test.ts";

const dayMs = 24 * 3_600_000;
const scope = { environmentId: "env-1", agentId: "agent-1", conversationId: "default" };
const decision = { behavior: "deny", reason: "too risky", decidedBy: "key-1", decidedAt: 5_000 } as const;

export const pending: StoredApproval = {
  tenant: "acme",
  scope,
  request: {
    requestId: "perm-call-1",
    toolCallId: "call-1",
    tool: "Bash",
    input: { command: "ls" },
    isInputCut: true,
    reason: "outside of the project",
    suggestions: [{ id: "save-default", text: "Always" }],
  },
  messageId: "m-1",
  requestedAt: 1_000,
  expiry: { at: 61_000, policy: "deadline" },
  decision: null,
};

const call = (toolCallId: string, change: Partial<StoredApproval> = {}): StoredApproval => ({
  ...pending,
  request: { ...pending.request, toolCallId },
  ...change,
});
const keyOf = ({ scope: of, request: { toolCallId } }: StoredApproval): ApprovalKey => ({ scope: of, toolCallId });

/** The contract suite of a store for approvals. Where a log has rows, `env-1` and `env-2` of the tenant `acme` exist. */
export function describeApprovalLogContract(
  name: string,
  create: (limits?: ApprovalLogLimits) => LogUnderTest<ApprovalLog> | Promise<LogUnderTest<ApprovalLog>>,
): void {
  describe(`approvals: ${name}`, () => {
    let log: ApprovalLog;
    let store: LogUnderTest<ApprovalLog>;
    async function open(limits?: ApprovalLogLimits): Promise<void> {
      store = await create(limits);
      ({ log } = store);
    }
    const decidedAt = (time: number): StoredApproval =>
      call(`call-${time}`, { decision: { ...decision, decidedAt: time * 1_000 } });
    const isDecided = async (toolCallId: string): Promise<boolean> =>
      (await log.findDecidedApproval({ scope, toolCallId })) !== null;
    beforeEach(() => open());

    test("a pending request is returned with all its members until it is removed", async () => {
      await log.saveApprovals([pending], []);
      expect(await log.findPendingApprovals(10)).toEqual([pending]);
      expect(await log.findDecidedApproval(keyOf(pending))).toBeNull();
      await log.saveApprovals([], [keyOf(pending)]);
      expect(await log.findPendingApprovals(10)).toEqual([]);
    });

    test("pending requests of all rows or of one are returned oldest first, up to a limit", async () => {
      const older = call("call-0", { requestedAt: 500, messageId: null, expiry: null });
      const elsewhere = call("call-1", {
        scope: { ...scope, environmentId: "env-2", agentId: "" },
        requestedAt: 2_000,
      });
      await log.saveApprovals([elsewhere, pending, older], []);
      expect(await log.findPendingApprovals(10)).toEqual([older, pending, elsewhere]);
      expect(await log.findPendingApprovals(1)).toEqual([older]);
      const decided = call("call-2", { decision });
      await log.saveApprovals([decided], []);
      expect(await log.findPendingApprovals(10, "env-1")).toEqual([older, pending]);
      expect(await log.findPendingApprovals(1, "env-1")).toEqual([older]);
      expect(await log.findPendingApprovals(10, "env-2")).toEqual([elsewhere]);
      expect(await log.findPendingApprovals(10, "env")).toEqual([]);
    });

    test("a decided request is not pending, is returned with its decision and without its input, and is not removed with pending ones", async () => {
      await log.saveApprovals([pending], []);
      await log.saveApprovals([{ ...pending, decision }], []);
      await log.saveApprovals([], [keyOf(pending)]);
      expect(await log.findPendingApprovals(10)).toEqual([]);
      const stored = { ...pending, request: { ...pending.request, input: null }, decision };
      expect(await log.findDecidedApproval(keyOf(pending))).toEqual(stored);
      expect(await log.findDecidedApproval({ ...keyOf(pending), toolCallId: "call-2" })).toBeNull();
    });

    test("a request that a device makes again is pending again", async () => {
      await log.saveApprovals([{ ...pending, decision }], []);
      await log.saveApprovals([pending], []);
      expect(await log.findPendingApprovals(10)).toEqual([pending]);
      expect(await log.findDecidedApproval(keyOf(pending))).toBeNull();
    });

    test("decisions are removed after their retention, the oldest first, in batches; pending requests never are", async () => {
      const decided = [3, 1, 2].map((time) =>
        call(`call-${time}`, { decision: { ...decision, decidedAt: time * 1_000 } }),
      );
      await log.saveApprovals([...decided, call("call-9")], []);
      expect(await log.pruneApprovals(2_000 + dayMs - 1, 10)).toBe(false);
      const isStored = (toolCallId: string): Promise<boolean> =>
        log.findDecidedApproval({ scope, toolCallId }).then((found) => found !== null);
      expect([await isStored("call-1"), await isStored("call-2"), await isStored("call-3")]).toEqual([
        false,
        true,
        true,
      ]);
      expect(await log.pruneApprovals(9_000 + dayMs, 1)).toBe(true);
      expect([await isStored("call-2"), await isStored("call-3")]).toEqual([false, true]);
      while (await log.pruneApprovals(9_000 + dayMs, 1));
      expect(await isStored("call-3")).toBe(false);
      expect(await log.findPendingApprovals(10)).toHaveLength(1);
    });

    test("when there are too many decisions, the oldest are pruned, and no pending request is", async () => {
      await open({ durationMs: dayMs, maxDecisions: 3 });
      await log.saveApprovals([...[1, 2, 3, 4, 5].map(decidedAt), call("call-9")], []);
      while (await log.pruneApprovals(9_000, 1));
      expect(await Promise.all([1, 2, 3, 4, 5].map((time) => isDecided(`call-${time}`)))).toEqual([
        false,
        false,
        true,
        true,
        true,
      ]);
      expect(await log.findPendingApprovals(10)).toHaveLength(1);
    });

    test("removing a row removes its requests, and later saves for it are ignored", async () => {
      const elsewhere = { ...pending, scope: { ...scope, environmentId: "env-2" } };
      await log.saveApprovals([pending, decidedAt(1), elsewhere], []);
      await store.removeRow("env-1");
      await log.saveApprovals([pending, decidedAt(2)], []);
      expect(await log.findPendingApprovals(10)).toEqual([elsewhere]);
      expect([await isDecided("call-1"), await isDecided("call-2")]).toEqual([false, false]);
    });
  });
}
