/** {@link MessageLog} in SQLite. Triggers count the messages of each row and their text, so that the limits cost no scan. */
import type { CommitChange, SqliteDatabase, SqliteRow, SqliteStatement } from "@letta-environments/platform";
import type {
  MessageFilter,
  MessageLog,
  MessageLogLimits,
  MessageState,
  MessageProgress,
  StoredMessage,
} from "../message-log.ts";
import { readInteger, readOptionalText, readScope, readText, removedTenant } from "./columns.ts";

const columns =
  "environment_id, agent_id, conversation_id, message_id, delivery_id, state, detail, reply, reply_truncated, sent_at, updated_at";

const ended = "'finished', 'cancelled', 'evicted', 'failed'";

/** The same, as in the condition of an index, so that messages which stay are not read. */
const hasEnded = "(state = 'finished' OR state = 'cancelled' OR state = 'evicted' OR state = 'failed')";

export function createSqliteMessageLog(
  database: SqliteDatabase,
  commit: CommitChange,
  limits: MessageLogLimits,
): MessageLog {
  // Most changes are of a delivery that is stored. They leave the indexes of its time alone, which `save` would write again.
  const change = database.prepare(`
    UPDATE environment_message_status SET state = ?, detail = ?, reply = ?, reply_truncated = ?, updated_at = ?
    WHERE environment_id = ? AND message_id = ? AND agent_id = ? AND conversation_id = ? AND delivery_id = ? AND sent_at = ?
      AND (state NOT IN (${ended}) OR ? IN (${ended}))`);
  const save = database.prepare(`
    INSERT INTO environment_message_status (${columns}) SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?
    WHERE EXISTS (SELECT 1 FROM environment WHERE id = ? AND tenant <> ${removedTenant})
    ON CONFLICT DO UPDATE SET delivery_id = excluded.delivery_id, state = excluded.state, detail = excluded.detail,
      reply = excluded.reply, reply_truncated = excluded.reply_truncated, sent_at = excluded.sent_at,
      updated_at = excluded.updated_at
    WHERE delivery_id <> excluded.delivery_id OR state NOT IN (${ended}) OR excluded.state IN (${ended})`);
  const read = database.prepare(`SELECT ${columns} FROM environment_message_status
    WHERE environment_id = ? AND message_id = ? ORDER BY sent_at DESC LIMIT ?`);
  const findOpen = database.prepare(`SELECT ${columns} FROM environment_message_status
    WHERE environment_id = ? AND state NOT IN (${ended})
    ORDER BY sent_at DESC LIMIT ?`);

  return {
    saveMessages: (messages) =>
      commit(
        () => {
          for (const { scope, messageId, deliveryId, approvalPolicy, status, sentAt, updatedAt } of messages) {
            const { environmentId, agentId, conversationId } = scope;
            const { state, reply, ...rest } = status;
            const detail: Detail = { ...rest, ...(approvalPolicy !== null && { approvalPolicy }) };
            const text = JSON.stringify(detail);
            const [replyText, isTruncated] = [reply?.text ?? null, reply?.isTruncated === true ? 1 : 0];
            const { changes } = change.run(
              ...[state, text, replyText, isTruncated, updatedAt],
              ...[environmentId, messageId, agentId, conversationId, deliveryId, sentAt, state],
            );
            if (changes > 0) continue;
            save.run(
              ...[environmentId, agentId, conversationId, messageId, deliveryId, state, text],
              ...[replyText, isTruncated, sentAt, updatedAt, environmentId],
            );
          }
        },
        { rows: messages.length, isRelaxed: true },
      ),
    readMessages: async (environmentId, messageId, limit) => read.all(environmentId, messageId, limit).map(readMessage),
    listMessages: prepareList(database),
    findOpenMessages: async (environmentId, limit) => findOpen.all(environmentId, limit).map(readMessage),
    pruneMessages: preparePrune(database, commit, limits),
  };
}

function prepareList(database: SqliteDatabase): MessageLog["listMessages"] {
  const prepare = (selected: string): SqliteStatement =>
    database.prepare(`SELECT ${selected} FROM environment_message_status
      WHERE environment_id = ? AND sent_at <= ? AND (sent_at < ? OR (message_id, agent_id, conversation_id) < (?, ?, ?))
      ORDER BY sent_at DESC, message_id DESC, agent_id DESC, conversation_id DESC LIMIT ?`);
  const list = prepare(columns);
  // A reply can be long, and is stored on separate pages.
  const listWithoutReplies = prepare(columns.replace("reply, reply_truncated", "NULL AS reply, 0 AS reply_truncated"));

  return async ({ environmentId, after, withReplies, limit }: MessageFilter) => {
    const { sentAt, ...ids } = after ?? {
      sentAt: Number.MAX_SAFE_INTEGER,
      messageId: "",
      agentId: "",
      conversationId: "",
    };
    return (withReplies ? list : listWithoutReplies)
      .all(environmentId, sentAt, sentAt, ids.messageId, ids.agentId, ids.conversationId, limit)
      .map(readMessage);
  };
}

function preparePrune(
  database: SqliteDatabase,
  commit: CommitChange,
  { durationMs, maxPerRow, maxMessages, maxReplies }: MessageLogLimits,
): MessageLog["pruneMessages"] {
  const removeWhere = (condition: string): SqliteStatement =>
    database.prepare(`DELETE FROM environment_message_status WHERE rowid IN (
      SELECT rowid FROM environment_message_status WHERE ${condition} ORDER BY sent_at LIMIT ?)`);
  const removeOlder = removeWhere("sent_at <= ?");
  const removeEnded = removeWhere(hasEnded);
  const removeEndedOfRow = removeWhere(`environment_id = ? AND state IN (${ended})`);
  const removeAnyOfRow = removeWhere("environment_id = ?");
  const removeOfRow = (row: SqliteRow, count: number): void => {
    const environmentId = readText(row, "environment_id");
    const { changes } = removeEndedOfRow.run(environmentId, count);
    if (changes < count) removeAnyOfRow.run(environmentId, count - Number(changes));
  };
  // With the default limit, the condition is the same as of an index.
  const findFullRow = database.prepare(`SELECT environment_id, messages FROM environment_message_count
    WHERE messages > ${maxPerRow} AND environment_id > '' LIMIT 1`);
  // Of each tenant, SQLite returns the row that has the maximum.
  const findLargestRow = database.prepare(`SELECT environment_id, max(messages) FROM environment
    CROSS JOIN environment_message_count ON environment_id = id WHERE tenant > ''
    GROUP BY tenant ORDER BY sum(messages) DESC LIMIT 1`);
  // Rows are numbered as they are added, and removed ones leave gaps, so the difference between the last and the first number is an
  // upper bound. The exact sum, which reads an entry for each environment, is needed only if that bound is too high.
  const findFirst = database.prepare("SELECT coalesce(min(rowid), 0) AS number FROM environment_message_status");
  const findLast = database.prepare("SELECT coalesce(max(rowid), 0) AS number FROM environment_message_status");
  const countMessages = database.prepare(
    "SELECT coalesce(sum(messages), 0) AS number FROM environment_message_count WHERE environment_id > ''",
  );
  const countCharacters = database.prepare(
    "SELECT characters FROM environment_message_count WHERE environment_id = ''",
  );

  return (nowMs, limit) =>
    commit(
      () => {
        if (removeOlder.run(nowMs - durationMs, limit).changes >= limit) return true;
        const full = findFullRow.get();
        if (full !== undefined) {
          const excess = readInteger(full, "messages") - maxPerRow;
          removeOfRow(full, Math.min(excess, limit));
          return true;
        }
        const atMost = readInteger(findLast.get(), "number") - readInteger(findFirst.get(), "number") + 1;
        const count = atMost <= maxMessages ? atMost : readInteger(countMessages.get(), "number");
        const largest = count > maxMessages ? findLargestRow.get() : undefined;
        if (largest !== undefined) {
          removeOfRow(largest, Math.min(count - maxMessages, limit));
          return true;
        }
        const isTooLong = readInteger(countCharacters.get(), "characters") > maxReplies;
        return isTooLong && removeEnded.run(limit).changes > 0;
      },
      { rows: limit },
    );
}

/** The column `detail`. An absent policy is `null`. */
interface Detail extends Omit<MessageProgress, "state" | "reply"> {
  readonly approvalPolicy?: StoredMessage["approvalPolicy"];
}

function readMessage(row: SqliteRow): StoredMessage {
  const { approvalPolicy = null, ...detail }: Detail = JSON.parse(readText(row, "detail"));
  const text = readOptionalText(row, "reply");
  return {
    scope: readScope(row),
    messageId: readText(row, "message_id"),
    deliveryId: readText(row, "delivery_id"),
    approvalPolicy,
    status: {
      // A check of the table allows no other states, and only this file writes details.
      state: readText(row, "state") as MessageState,
      ...detail,
      reply: text === null ? null : { text, isTruncated: readInteger(row, "reply_truncated") === 1 },
    },
    sentAt: readInteger(row, "sent_at"),
    updatedAt: readInteger(row, "updated_at"),
  };
}
