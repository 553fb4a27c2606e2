/**
 * {@link MessageLog} in Valkey or Redis. Sorted sets have the messages of all rows and of each row by the time of their send, so that the
 * limits cost no scan; a hash has each message as JSON, and another one the length of its text.
 */
import type { ValkeyConnection, ValkeyReply } from "@letta-environments/platform";
import { hasEnded } from "@letta-environments/schema";
import { maxFollowedMessages, messageLogLimits } from "../limits.ts";
import type { SeparateMessageLog } from "../logs/separate.ts";
import { type MessageLogLimits, type MessagePosition, type StoredMessage, withoutReply } from "../message-log.ts";
import {
  beginningOf,
  createRunSave,
  createRunScript,
  entriesPerScript,
  readRows,
  repeatScript,
  rowPrelude,
  rowText,
  savePrelude,
  type ValkeyLogOptions,
} from "./scripts.ts";

/**
 * Creates a {@link SeparateMessageLog}. Its promises reject with a `ValkeyError` while the server does not respond. The server must keep
 * confirmed writes: `appendonly yes` and `maxmemory-policy noeviction`.
 */
export function createValkeyMessageLog(
  connection: ValkeyConnection,
  { limits = messageLogLimits, ...options }: ValkeyLogOptions<MessageLogLimits> = {},
): SeparateMessageLog {
  const run = createRunScript(connection, "messages", options);
  const save = createRunSave(run);
  return {
    async saveMessages(messages) {
      if (messages.length > 0) await save(saveScript, [limits.maxPerRow, ...messages.flatMap(writeMessage)]);
    },
    readMessages: async (environmentId, messageId, limit) =>
      readMessages(await run(readScript, [beginningOf(environmentId, messageId), limit])),
    async listMessages({ environmentId, after, withReplies, limit }) {
      const start = after === null ? ["+inf", ""] : [after.sentAt, entryOf(environmentId, after)];
      const found = readMessages(await run(listScript, [rowText(environmentId), ...start, limit]));
      return withReplies ? found : found.map(withoutReply);
    },
    findOpenMessages: async (environmentId, limit) =>
      readMessages(await run(findOpenScript, [rowText(environmentId), limit])),
    async pruneMessages(nowMs, limit) {
      const { durationMs, maxPerRow, maxMessages, maxReplies } = limits;
      return (await run(pruneScript, [nowMs - durationMs, limit, maxPerRow, maxMessages, maxReplies])) === 1;
    },
    async removeRows(environmentIds) {
      for (const id of environmentIds) await repeatScript(() => run(removeRowScript, [rowText(id), entriesPerScript]));
    },
  };
}

/** A message without the members that its entry has. Records of earlier versions have no policy. */
type Record = Omit<StoredMessage, "scope" | "messageId" | "sentAt" | "approvalPolicy"> &
  Partial<Pick<StoredMessage, "approvalPolicy">>;

function writeMessage({ scope, messageId, sentAt, ...record }: StoredMessage): readonly (string | number)[] {
  const { environmentId } = scope;
  const entry = entryOf(environmentId, { ...scope, messageId });
  const { status } = record;
  return [
    entry,
    rowText(environmentId),
    hasEnded(status) ? 0 : 1,
    sentAt,
    status.reply?.text.length ?? 0,
    JSON.stringify(record),
  ];
}

function entryOf(
  environmentId: string,
  { messageId, agentId, conversationId }: Omit<MessagePosition, "sentAt">,
): string {
  return JSON.stringify([environmentId, messageId, agentId, conversationId]);
}

function readMessages(reply: ValkeyReply): readonly StoredMessage[] {
  return readRows(reply, 3).map(([entry = "", sentAt, text = ""]) => {
    // Only this file writes entries and records.
    const [environmentId, messageId, agentId, conversationId] = JSON.parse(entry) as [string, string, string, string];
    const { approvalPolicy = null, ...record } = JSON.parse(text) as Record;
    return {
      ...record,
      approvalPolicy,
      scope: { environmentId, agentId, conversationId },
      messageId,
      sentAt: Number(sentAt),
    };
  });
}

const prelude = `${rowPrelude}
local sent, lengths, characters, full = base .. ':sent', base .. ':lengths', base .. ':characters', base .. ':full-rows'
local function ofRow(row) return base .. ':row:' .. row end
local function openOf(row) return base .. ':open:' .. row end
local function setLength(entry, length)
  local before = tonumber(redis.call('HGET', lengths, entry) or '0')
  if length == before then return end
  if length == 0 then redis.call('HDEL', lengths, entry) else redis.call('HSET', lengths, entry, length) end
  redis.call('INCRBY', characters, length - before)
end
local function remove(entry)
  local row = rowOf(entry)
  setLength(entry, 0)
  redis.call('HDEL', records, entry)
  redis.call('ZREM', names, entry)
  redis.call('ZREM', sent, entry)
  redis.call('ZREM', ofRow(row), entry)
  redis.call('ZREM', openOf(row), entry)
end
local function found(entries)
  local reply = {}
  for _, entry in ipairs(entries) do
    reply[#reply + 1] = entry
    reply[#reply + 1] = redis.call('ZSCORE', sent, entry)
    reply[#reply + 1] = redis.call('HGET', records, entry)
  end
  return reply
end
`;

/** ARGV from 3 on: messages of a row, then for each message its entry, row, whether it is open, the time, the length of its text, its record. */
const saveScript = `${prelude}${savePrelude}
local maxPerRow = tonumber(ARGV[3])
-- The same send has ended. In a text, a quote follows a backslash, so this finds only the member.
local function isLate(entry, row, isOpen, record)
  local before = isOpen == '1' and not redis.call('ZSCORE', openOf(row), entry) and redis.call('HGET', records, entry)
  local send = string.match(record, '"deliveryId":"[^"]*"')
  return before and send and string.find(before, send, 1, true) ~= nil
end
for i = 4, #ARGV, 6 do
  local entry, row, isOpen, at = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  if not isRemoved(row) and not isLate(entry, row, isOpen, ARGV[i + 5]) then
    redis.call('HSET', records, entry, ARGV[i + 5])
    redis.call('ZADD', names, 0, entry)
    redis.call('ZADD', sent, at, entry)
    redis.call('ZADD', ofRow(row), at, entry)
    if isOpen == '1' then redis.call('ZADD', openOf(row), at, entry) else redis.call('ZREM', openOf(row), entry) end
    setLength(entry, tonumber(ARGV[i + 4]))
    if redis.call('ZCARD', ofRow(row)) > maxPerRow then redis.call('SADD', full, row) end
  end
end
`;

/** ARGV: prefix of the entries, limit. Returns the entry, time and record of each, the latest first. */
const readScript = `${prelude}
local entries, times = startingWith(ARGV[1]), {}
for _, entry in ipairs(entries) do times[entry] = tonumber(redis.call('ZSCORE', sent, entry)) end
table.sort(entries, function(left, right) return times[left] > times[right] end)
for i = #entries, tonumber(ARGV[2]) + 1, -1 do entries[i] = nil end
return found(entries)
`;

/**
 * ARGV: row, the time to start at, the entry to start after or an empty text, limit. Returns the same as {@link
 * readScript}. Entries of the same time are in descending byte order. If the entry to start after is gone, the list starts after its time.
 */
const listScript = `${prelude}
local row, from, after, limit, step = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), 100
local entries, offset, isBehind = {}, 0, after == ''
while #entries < limit do
  local found = redis.call('ZREVRANGEBYSCORE', ofRow(row), from, '-inf', 'LIMIT', offset, step)
  for _, entry in ipairs(found) do
    isBehind = isBehind or tonumber(redis.call('ZSCORE', sent, entry)) < tonumber(from)
    if isBehind and #entries < limit then entries[#entries + 1] = entry end
    isBehind = isBehind or entry == after
  end
  if #found < step then break end
  offset = offset + step
end
return found(entries)
`;

/** ARGV: row, limit. Returns the same as {@link readScript}. */
const findOpenScript = `${prelude}
return found(redis.call('ZREVRANGE', openOf(ARGV[1]), 0, ARGV[2] - 1))
`;

/** ARGV: the latest expired time, limit, then the other limits. Returns 1 when there may be more to remove. */
const pruneScript = `${prelude}
local limit, maxPerRow, maxMessages, maxReplies = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local function hasEnded(entry) return not redis.call('ZSCORE', openOf(rowOf(entry)), entry) end
local function removeReply(entry)
  -- In a text, a backslash precedes each quote, so this finds only the member.
  local record = string.gsub(redis.call('HGET', records, entry), '"reply":{"text":".-","isTruncated":%a+}', '"reply":null', 1)
  redis.call('HSET', records, entry, record)
  setLength(entry, 0)
end
local function removeOldest(row, count)
  local removed, opened = 0, {}
  for _, entry in ipairs(redis.call('ZRANGE', ofRow(row), 0, -1)) do
    if removed >= count then return end
    if hasEnded(entry) then
      remove(entry)
      removed = removed + 1
    else
      opened[#opened + 1] = entry
    end
  end
  for i = 1, math.min(#opened, count - removed) do remove(opened[i]) end
end
-- Removes the oldest messages, or only the texts of those that have not ended. If there are none, the row with the most of the oldest
-- messages loses some. It reads a limited number, because many may not have ended.
local function shorten(count, isTooLong)
  local changed, sizes, largest, from = 0, {}, nil, 0
  while from < ${maxFollowedMessages} do
    local entries = redis.call('ZRANGE', sent, from, from + 199)
    for _, entry in ipairs(entries) do
      if changed >= count then return 1 end
      local row = rowOf(entry)
      sizes[row] = (sizes[row] or 0) + 1
      if not largest or sizes[row] > sizes[largest] then largest = row end
      if hasEnded(entry) then
        remove(entry)
        from, changed = from - 1, changed + 1
      elseif isTooLong and redis.call('HEXISTS', lengths, entry) == 1 then
        removeReply(entry)
        changed = changed + 1
      end
    end
    if #entries < 200 then break end
    from = from + 200
  end
  if changed == 0 and largest then removeOldest(largest, count) end
  return (changed > 0 or largest) and 1 or 0
end
local old = redis.call('ZRANGEBYSCORE', sent, '-inf', ARGV[1], 'LIMIT', 0, limit)
for _, entry in ipairs(old) do remove(entry) end
if #old >= limit then return 1 end
local row = redis.call('SRANDMEMBER', full)
if row then
  local excess = redis.call('ZCARD', ofRow(row)) - maxPerRow
  if excess <= limit then redis.call('SREM', full, row) end
  removeOldest(row, math.min(excess, limit))
  return 1
end
local excess = redis.call('ZCARD', sent) - maxMessages
local isTooLong = tonumber(redis.call('GET', characters) or '0') > maxReplies
if excess <= 0 and not isTooLong then return 0 end
return shorten(isTooLong and limit or math.min(excess, limit), isTooLong)
`;

/** ARGV: row, limit. Returns how many messages were removed. */
const removeRowScript = `${prelude}
local row = ARGV[1]
noteRemoved(row)
local entries = redis.call('ZRANGE', ofRow(row), 0, ARGV[2] - 1)
for _, entry in ipairs(entries) do remove(entry) end
if redis.call('EXISTS', ofRow(row)) == 0 then redis.call('SREM', full, row) end
return #entries
`;
