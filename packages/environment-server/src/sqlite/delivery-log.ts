/** {@link DeliveryLog} in SQLite: a row for each send, one for each of its ids, and one for each conversation that has run. */
import type { CommitChange, SqliteDatabase, SqliteRow } from "@letta-environments/platform";
import { maxRuntimesPerEnvironment, retentionMs } from "../limits.ts";
import type { Delivery, DeliveryLog, DeliveryOutcome, KnownMessage, MessageUse, UnresolvedDelivery } from "../ports.ts";
import { readInteger, readOptionalText, readScope, readText } from "./columns.ts";

/** The columns of a send and of one of its ids that {@link readUse} needs. */
const useColumns = `message.environment_id, message.agent_id, message.conversation_id, message.message_id,
  message.delivery_id, delivery.fingerprint, delivery.outcome, delivery.disposition, delivery.error, delivery.reserved_at`;

/** {@link DeliveryLog} in SQLite. An expired id counts as free, even before `prune` removes it. */
export function createSqliteDeliveryLog(database: SqliteDatabase, commit: CommitChange): DeliveryLog {
  // A join with the ids would read every message of the conversation.
  const findMessages = database.prepare(`
    SELECT ${useColumns}
    FROM environment_message AS message JOIN environment_delivery AS delivery ON delivery.id = message.delivery_id
    WHERE message.environment_id = ? AND message.agent_id = ? AND message.conversation_id = ?
      AND message.message_id IN (SELECT value FROM json_each(?)) AND delivery.reserved_at > ?`);
  const forgetExpired = database.prepare(`
    DELETE FROM environment_delivery WHERE reserved_at <= ? AND id IN (SELECT delivery_id FROM environment_message
      WHERE environment_id = ? AND agent_id = ? AND conversation_id = ?
        AND message_id IN (SELECT value FROM json_each(?)))`);
  const insertDelivery = database.prepare(
    "INSERT INTO environment_delivery (id, environment_id, fingerprint, reserved_at) VALUES (?, ?, ?, ?)",
  );
  const insertMessage = database.prepare(`
    INSERT INTO environment_message (environment_id, agent_id, conversation_id, message_id, delivery_id)
    VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`);
  const releaseDelivery = database.prepare(
    "DELETE FROM environment_delivery WHERE id = ? AND (outcome IS NULL OR outcome = 'unknown')",
  );
  const forgetDelivery = database.prepare("DELETE FROM environment_delivery WHERE id = ?");
  const settleDelivery = database.prepare(`
    UPDATE environment_delivery SET outcome = ?, disposition = ?, error = ? WHERE id = ? AND environment_id = ?
      AND (outcome IS NULL OR (outcome = 'unknown' AND ? <> 'unknown'))`);
  const runs = prepareRuns(database);

  function find({ scope, messageIds }: Pick<Delivery, "scope" | "messageIds">, nowMs: number): KnownMessage[] {
    const { environmentId, agentId, conversationId } = scope;
    const ids = JSON.stringify(messageIds);
    return findMessages.all(environmentId, agentId, conversationId, ids, nowMs - retentionMs).map(readMessage);
  }

  /** Inserts a send with its ids, unless one of them is stored. */
  function insert({ id, scope, messageIds, fingerprint }: Delivery, nowMs: number): boolean {
    const { environmentId, agentId, conversationId } = scope;
    insertDelivery.run(id, environmentId, fingerprint, nowMs);
    const isFree = messageIds.every(
      (messageId) => insertMessage.run(environmentId, agentId, conversationId, messageId, id).changes === 1,
    );
    if (!isFree) releaseDelivery.run(id);
    return isFree;
  }

  function reserve(delivery: Delivery, nowMs: number): boolean {
    if (insert(delivery, nowMs)) return true;
    // A stored id may have expired.
    const { environmentId, agentId, conversationId } = delivery.scope;
    forgetExpired.run(nowMs - retentionMs, environmentId, agentId, conversationId, JSON.stringify(delivery.messageIds));
    return insert(delivery, nowMs);
  }

  return {
    findRuns: runs.findRuns,
    findMessages: async (scope, messageIds, nowMs) => find({ scope, messageIds }, nowMs),
    findUses: prepareFindUses(database),
    findLastUses: prepareFindLastUses(database),
    reserve: (delivery, nowMs) => commit(() => reserve(delivery, nowMs), { rows: 1 + delivery.messageIds.length }),
    release: (deliveryId) => commit(() => void releaseDelivery.run(deliveryId)),
    forget: (deliveryId) => commit(() => void forgetDelivery.run(deliveryId)),
    settle(deliveryId, environmentId, outcome) {
      const { kind } = outcome;
      const disposition = kind === "accepted" ? outcome.disposition : null;
      const error = kind === "rejected" ? outcome.error : null;
      return commit(() => {
        if (settleDelivery.run(kind, disposition, error, deliveryId, environmentId, kind).changes === 0) return false;
        if (kind === "accepted") runs.record(deliveryId, environmentId);
        return true;
      });
    },
    findUnresolved: prepareFindUnresolved(database),
  };
}

/** On which rows conversations have run. */
interface Runs extends Pick<DeliveryLog, "findRuns"> {
  /** Records that a row has accepted a send. Call it in a transaction. */
  record(deliveryId: string, environmentId: string): void;
}

/** Prepares {@link Runs}. A run of a known conversation changes one row of a table, and none of its indexes. */
function prepareRuns(database: SqliteDatabase): Runs {
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

/** Searches each conversation of a row, because ids are indexed by conversation. There are few conversations. */
function prepareFindUses(database: SqliteDatabase): DeliveryLog["findUses"] {
  const findInAgent = database.prepare(`SELECT agent_id, conversation_id FROM environment_message
    WHERE environment_id = ? AND agent_id = ? AND conversation_id > ? ORDER BY conversation_id LIMIT 1`);
  const findInNextAgent = database.prepare(`SELECT agent_id, conversation_id FROM environment_message
    WHERE environment_id = ? AND agent_id > ? ORDER BY agent_id, conversation_id LIMIT 1`);
  const findNext = (environmentId: string, agentId: string, conversationId: string): SqliteRow | undefined =>
    findInAgent.get(environmentId, agentId, conversationId) ?? findInNextAgent.get(environmentId, agentId);
  const findUse = database.prepare(`
    SELECT ${useColumns}
    FROM environment_message AS message JOIN environment_delivery AS delivery ON delivery.id = message.delivery_id
    WHERE message.environment_id = ? AND message.agent_id = ? AND message.conversation_id = ?
      AND message.message_id = ? AND delivery.reserved_at > ?`);
  return async (environmentId, messageId, nowMs, limit) => {
    const uses: MessageUse[] = [];
    let next = findNext(environmentId, "", "");
    for (let count = 0; next !== undefined && count < limit; count += 1) {
      const [agentId, conversationId] = [readText(next, "agent_id"), readText(next, "conversation_id")];
      const use = findUse.get(environmentId, agentId, conversationId, messageId, nowMs - retentionMs);
      if (use !== undefined) uses.push(readUse(use));
      next = findNext(environmentId, agentId, conversationId);
    }
    return uses;
  };
}

function prepareFindLastUses(database: SqliteDatabase): DeliveryLog["findLastUses"] {
  const findLatest = database.prepare("SELECT coalesce(max(reserved_at), 0) AS latest FROM environment_delivery");
  const find = database.prepare(`
    SELECT ${useColumns}
    FROM environment_delivery AS delivery CROSS JOIN environment_message AS message ON message.delivery_id = delivery.id
    WHERE delivery.reserved_at > ? AND delivery.outcome IS NOT 'rejected'
    ORDER BY delivery.reserved_at DESC, delivery.id DESC LIMIT ?`);
  return async (nowMs, spanMs, limit) => {
    const latest = readInteger(findLatest.get(), "latest");
    const uses = find.all(Math.max(latest - spanMs, nowMs - retentionMs), limit).map(readUse);
    const last = uses.at(-1);
    return uses.length < limit ? uses : uses.filter(({ deliveryId }) => deliveryId !== last?.deliveryId);
  };
}

function prepareFindUnresolved(database: SqliteDatabase): DeliveryLog["findUnresolved"] {
  const find = database.prepare(`
    SELECT delivery.id, message.agent_id, message.conversation_id, message.message_id
    FROM environment_delivery AS delivery JOIN environment_message AS message ON message.delivery_id = delivery.id
    WHERE delivery.environment_id = ? AND delivery.reserved_at > ?
      AND (delivery.outcome IS NULL OR delivery.outcome = 'unknown')
    ORDER BY delivery.reserved_at DESC LIMIT ?`);
  return async (environmentId, nowMs, maxMessages) => {
    const rows = find.all(environmentId, nowMs - retentionMs, maxMessages);
    // The limit may have cut the messages of the last send.
    return groupByDelivery(rows).slice(0, rows.length < maxMessages ? undefined : -1);
  };
}

function groupByDelivery(rows: readonly SqliteRow[]): UnresolvedDelivery[] {
  return [...Map.groupBy(rows, (row) => readText(row, "id"))].map(([deliveryId, messages]) => ({
    deliveryId,
    agentId: readText(messages[0], "agent_id"),
    conversationId: readText(messages[0], "conversation_id"),
    messageIds: messages.map((row) => readText(row, "message_id")),
  }));
}

function readUse(row: SqliteRow): MessageUse {
  return { ...readMessage(row), scope: readScope(row), reservedAt: readInteger(row, "reserved_at") };
}

function readMessage(row: SqliteRow): KnownMessage {
  return {
    messageId: readText(row, "message_id"),
    deliveryId: readText(row, "delivery_id"),
    fingerprint: readText(row, "fingerprint"),
    outcome: readOutcome(row),
  };
}

function readOutcome(row: SqliteRow): DeliveryOutcome | null {
  const kind = readOptionalText(row, "outcome");
  switch (kind) {
    case null:
      return null;
    case "accepted":
      return { kind, disposition: readOptionalText(row, "disposition") };
    case "rejected":
      return { kind, error: readOptionalText(row, "error") };
    case "unknown":
      return { kind };
    default:
      throw new TypeError("outcome must be accepted, rejected, unknown or null");
  }
}
