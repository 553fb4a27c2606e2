import type { SqliteDatabase } from "@letta-environments/platform";
import { maxRuntimesPerEnvironment } from "../limits.ts";
import type { DeliveryLog } from "../ports.ts";
import { readInteger, readText } from "./columns.ts";

/** On which rows conversations have run, in SQLite. */
interface SqliteRuns extends Pick<DeliveryLog, "findRuns"> {
  /** Records that a row has accepted a send. Call it in a transaction. */
  record(deliveryId: string, environmentId: string): void;
}

/** Creates {@link SqliteRuns}. A run of a known conversation changes one row of a table, and none of its indexes. */
export function createSqliteRuns(database: SqliteDatabase): SqliteRuns {
  const findSend = database.prepare(`
    SELECT message.agent_id, message.conversation_id, delivery.reserved_at
    FROM environment_delivery AS delivery JOIN environment_message AS message ON message.delivery_id = delivery.id
    WHERE delivery.id = ? LIMIT 1`);
  const update = database.prepare(`
    UPDATE environment_runtime SET used_at = max(used_at, ?)
    WHERE agent_id = ? AND conversation_id = ? AND environment_id = ?`);
  // The row may have been removed since the send.
  const insert = database.prepare(`
    INSERT INTO environment_runtime (used_at, agent_id, conversation_id, environment_id)
    SELECT ?, ?, ?, id FROM environment WHERE id = ?`);
  const trim = database.prepare(`
    DELETE FROM environment_runtime WHERE (agent_id, conversation_id, environment_id) IN (
      SELECT agent_id, conversation_id, environment_id FROM environment_runtime WHERE environment_id = ?
      ORDER BY used_at DESC LIMIT -1 OFFSET ?)`);
  // SQLite does not reorder a CROSS JOIN. Otherwise it would read every row of the tenant first.
  const find = database.prepare(`
    SELECT runtime.environment_id, runtime.used_at
    FROM environment_runtime AS runtime CROSS JOIN environment ON environment.id = runtime.environment_id
    WHERE runtime.agent_id = ? AND runtime.conversation_id = ? AND environment.tenant = ?
    ORDER BY runtime.used_at DESC LIMIT ?`);

  return {
    record(deliveryId, environmentId) {
      const send = findSend.get(deliveryId);
      if (send === undefined) return;
      const run = [
        readInteger(send, "reserved_at"),
        readText(send, "agent_id"),
        readText(send, "conversation_id"),
        environmentId,
      ];
      if (update.run(...run).changes > 0 || insert.run(...run).changes === 0) return;
      trim.run(environmentId, maxRuntimesPerEnvironment);
    },
    async findRuns(tenant, agentId, conversationId, limit) {
      return find.all(agentId, conversationId, tenant, limit).map((row) => ({
        environmentId: readText(row, "environment_id"),
        usedAt: readInteger(row, "used_at"),
      }));
    },
  };
}
