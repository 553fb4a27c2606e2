/**
 * Removes rows in two steps, because a row may have thousands of messages. First a row gets the tenant {@link removedTenant} and loses its
 * connectionIds, so that nothing finds it. What belongs to it follows in batches, and the row itself at last, so that a killed process leaves
 * nothing that cannot be found again.
 */
import type { CommitChange, SqliteDatabase } from "@letta-environments/platform";
import { maintenanceBatchSize } from "../limits.ts";
import { readText, removedTenant } from "./columns.ts";

/** Removes rows. */
export interface RemovedRows {
  /** Hides rows from every read. Call it in a transaction. */
  hide(environmentIds: readonly string[]): void;
  /** Removes some of what is left of hidden rows, at most `limit`. Returns whether there may be more. Call it in a transaction. */
  removeSome(limit: number): boolean;
  /** Removes all that is left of these hidden rows. Never rejects. */
  finish(environmentIds: readonly string[]): Promise<void>;
}

/** Prepares {@link RemovedRows}. */
export function createRemovedRows(database: SqliteDatabase, commit: CommitChange): RemovedRows {
  const ofIds = "IN (SELECT value FROM json_each(?))";
  const forgetConnections = database.prepare(`DELETE FROM environment_connection WHERE environment_id ${ofIds}`);
  const hideRows = database.prepare(
    `UPDATE environment SET tenant = ${removedTenant}, device_id = id WHERE id ${ofIds}`,
  );
  const findHidden = database.prepare(`SELECT id FROM environment WHERE tenant = ${removedTenant} LIMIT 1`);
  const removeRow = database.prepare("DELETE FROM environment WHERE id = ?");
  const removeBelongings = [
    ["environment_message_status", "rowid"],
    ["environment_approval", "environment_id, tool_call_id, agent_id, conversation_id"],
    ["environment_runtime", "agent_id, conversation_id, environment_id"],
  ].map(([table, key]) =>
    database.prepare(
      `DELETE FROM ${table} WHERE (${key}) IN (SELECT ${key} FROM ${table} WHERE environment_id = ? LIMIT ?)`,
    ),
  );

  /** Returns how much of the limit is left: 0 if there may be more of the row. */
  function removePart(id: string, limit: number): number {
    let left = limit;
    for (const statement of removeBelongings) left -= statement.run(id, left).changes;
    return left > 0 ? left - removeRow.run(id).changes : 0;
  }

  async function finish(environmentIds: readonly string[]): Promise<void> {
    for (const id of environmentIds)
      while ((await commit(() => removePart(id, maintenanceBatchSize), { rows: maintenanceBatchSize })) === 0);
  }

  return {
    hide(environmentIds) {
      const ids = JSON.stringify(environmentIds);
      forgetConnections.run(ids);
      hideRows.run(ids);
    },
    removeSome(limit) {
      for (let left = limit; left > 0;) {
        const row = findHidden.get();
        if (row === undefined) return false;
        left = removePart(readText(row, "id"), left);
      }
      return true;
    },
    finish: (environmentIds) => finish(environmentIds).catch(() => undefined),
  };
}
