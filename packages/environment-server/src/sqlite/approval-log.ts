/** {@link ApprovalLog} in SQLite. The members of a request that only people read are one JSON column. Triggers count the decisions. */
import type { CommitChange, SqliteDatabase, SqliteRow } from "@letta-environments/platform";
import {
  type ApprovalExpiry,
  type ApprovalLog,
  type ApprovalLogLimits,
  type ApprovalRequest,
  type Decision,
  type StoredApproval,
  withoutDecidedInput,
} from "../approval-log.ts";
import { readInteger, readOptionalText, readScope, readText, removedTenant } from "./columns.ts";

const columns =
  "environment_id, tool_call_id, agent_id, conversation_id, request, message_id, requested_at, expiry, decision, decided_at";
const withTenant = columns.replaceAll(/\w+/g, "approval.$&").concat(", environment.tenant");
const key = "environment_id = ? AND tool_call_id = ? AND agent_id = ? AND conversation_id = ?";

export function createSqliteApprovalLog(
  database: SqliteDatabase,
  commit: CommitChange,
  { durationMs, maxDecisions }: ApprovalLogLimits,
): ApprovalLog {
  const save = database.prepare(`
    INSERT INTO environment_approval (${columns}) SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?
    WHERE EXISTS (SELECT 1 FROM environment WHERE id = ? AND tenant <> ${removedTenant})
    ON CONFLICT DO UPDATE SET request = excluded.request, message_id = excluded.message_id,
      requested_at = excluded.requested_at, expiry = excluded.expiry, decision = excluded.decision,
      decided_at = excluded.decided_at`);
  const remove = database.prepare(`DELETE FROM environment_approval WHERE ${key} AND decided_at IS NULL`);
  const findPending = database.prepare(`
    SELECT ${withTenant} FROM environment_approval AS approval JOIN environment ON environment.id = environment_id
    WHERE decided_at IS NULL AND requested_at >= 0 AND tenant <> ${removedTenant} ORDER BY requested_at LIMIT ?`);
  const findPendingOfRow = database.prepare(`
    SELECT ${withTenant} FROM environment_approval AS approval JOIN environment ON environment.id = environment_id
    WHERE environment_id = ? AND decided_at IS NULL AND tenant <> ${removedTenant} ORDER BY +requested_at LIMIT ?`);
  const findDecided = database.prepare(`
    SELECT ${withTenant} FROM environment_approval AS approval JOIN environment ON environment.id = environment_id
    WHERE ${key} AND decided_at IS NOT NULL AND tenant <> ${removedTenant}`);
  const removeOld =
    database.prepare(`DELETE FROM environment_approval WHERE (environment_id, tool_call_id, agent_id, conversation_id) IN (
      SELECT environment_id, tool_call_id, agent_id, conversation_id FROM environment_approval
      WHERE decided_at <= ? ORDER BY decided_at LIMIT ?)`);
  const countDecided = database.prepare("SELECT decided FROM environment_approval_count");

  function saveOne({ scope, request, messageId, requestedAt, expiry, decision }: StoredApproval): void {
    const { environmentId, agentId, conversationId } = scope;
    const { toolCallId, ...detail } = request;
    save.run(
      ...[environmentId, toolCallId, agentId, conversationId, JSON.stringify(detail), messageId, requestedAt],
      ...[writeJson(expiry), writeJson(decision), decision?.decidedAt ?? null, environmentId],
    );
  }

  return {
    saveApprovals: (saved, removed) =>
      commit(
        () => {
          for (const { scope, toolCallId } of removed)
            remove.run(scope.environmentId, toolCallId, scope.agentId, scope.conversationId);
          for (const approval of saved) saveOne(withoutDecidedInput(approval));
        },
        { rows: saved.length + removed.length, isRelaxed: true },
      ),
    findPendingApprovals: async (limit, environmentId) =>
      (environmentId === undefined ? findPending.all(limit) : findPendingOfRow.all(environmentId, limit)).map(
        readApproval,
      ),
    async findDecidedApproval({ scope: { environmentId, agentId, conversationId }, toolCallId }) {
      const row = findDecided.get(environmentId, toolCallId, agentId, conversationId);
      return row === undefined ? null : readApproval(row);
    },
    pruneApprovals: (nowMs, limit) =>
      commit(
        () => {
          if (removeOld.run(nowMs - durationMs, limit).changes >= limit) return true;
          const excess = readInteger(countDecided.get(), "decided") - maxDecisions;
          if (excess > 0) removeOld.run(Number.MAX_SAFE_INTEGER, Math.min(excess, limit));
          return excess >= limit;
        },
        { rows: limit },
      ),
  };
}

function writeJson(value: ApprovalExpiry | Decision | null): string | null {
  return value === null ? null : JSON.stringify(value);
}

function readApproval(row: SqliteRow): StoredApproval {
  // Only this file writes these columns.
  const detail = JSON.parse(readText(row, "request")) as Omit<ApprovalRequest, "toolCallId">;
  const expiry = readOptionalText(row, "expiry");
  const decision = readOptionalText(row, "decision");
  return {
    tenant: readText(row, "tenant"),
    scope: readScope(row),
    request: { ...detail, toolCallId: readText(row, "tool_call_id") },
    messageId: readOptionalText(row, "message_id"),
    requestedAt: readInteger(row, "requested_at"),
    expiry: expiry === null ? null : (JSON.parse(expiry) as ApprovalExpiry),
    decision: decision === null ? null : (JSON.parse(decision) as Decision),
  };
}
