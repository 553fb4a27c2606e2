import type { ApprovalLogLimits, StoredApproval } from "../approval-log.ts";
import { approvalLogLimits } from "../limits.ts";
import { createRemovedRows } from "../logs/removed-rows.ts";
import type { SeparateApprovalLog } from "../logs/separate.ts";
import { keyOf, keyText } from "./pending.ts";

/** Creates a {@link SeparateApprovalLog} that lasts as long as the process. */
export function createMemoryApprovalLog({
  durationMs,
  maxDecisions,
}: ApprovalLogLimits = approvalLogLimits): SeparateApprovalLog {
  const removedRows = createRemovedRows();
  const approvals = new Map<string, StoredApproval>();

  const decided = (): StoredApproval[] =>
    [...approvals.values()]
      .filter(({ decision }) => decision !== null)
      .toSorted((left, right) => decidedAt(left) - decidedAt(right));

  return {
    async saveApprovals(saved, removed) {
      for (const key of removed) {
        const text = keyText(key);
        if (approvals.get(text)?.decision === null) approvals.delete(text);
      }
      for (const approval of saved)
        if (!removedRows.has(approval.scope.environmentId))
          approvals.set(keyText(keyOf(approval)), withoutDecidedInput(approval));
    },
    async findPendingApprovals(limit) {
      const pending = [...approvals.values()].filter(({ decision }) => decision === null);
      return pending.toSorted((left, right) => left.requestedAt - right.requestedAt).slice(0, limit);
    },
    async findDecidedApproval(key) {
      const approval = approvals.get(keyText(key));
      return approval === undefined || approval.decision === null ? null : approval;
    },
    async pruneApprovals(nowMs, limit) {
      const all = decided();
      const old = all.filter((approval) => decidedAt(approval) <= nowMs - durationMs).length;
      const excess = Math.max(old, all.length - maxDecisions);
      for (const approval of all.slice(0, Math.min(excess, limit))) approvals.delete(keyText(keyOf(approval)));
      return excess >= limit;
    },
    async removeRows(environmentIds) {
      removedRows.add(environmentIds);
      for (const [text, { scope }] of approvals) if (removedRows.has(scope.environmentId)) approvals.delete(text);
    },
  };
}

function withoutDecidedInput(approval: StoredApproval): StoredApproval {
  return approval.decision === null ? approval : { ...approval, request: { ...approval.request, input: null } };
}

function decidedAt({ decision }: StoredApproval): number {
  return decision?.decidedAt ?? Infinity;
}
