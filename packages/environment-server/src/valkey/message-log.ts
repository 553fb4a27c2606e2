/**
 * {@link MessageLog} in Valkey or Redis. Sorted sets have the messages of all rows and of each row by the time of their send, so that the
 * limits cost no scan; a hash has each message as JSON, and another one the length of its text.
 */
import type { ValkeyConnection, ValkeyReply } from "@letta-environments/platform";
import { hasEnded } from "@letta-environments/schema";
import { messageLogLimits } from "../limits.ts";
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
      const most = Math.min(limit, messagesPerPrune);
      return (await run(pruneScript, [nowMs - durationMs, most, maxPerRow, maxMessages, maxReplies])) === 1;
    },
    async removeRows(environmentIds) {
      for (const id of environmentIds) await repeatScript(() => run(removeRowScript, [rowText(id), entriesPerScript]));
    },
  };
}

/** Maximum number of messages that one call of the script removes: some milliseconds. */
const messagesPerPrune = 100;

/** A message without its tenant and the members that its entry has. Records of earlier versions have no policy. */
type Record = Omit<StoredMessage, "scope" | "messageId" | "sentAt" | "tenant" | "approvalPolicy"> &
  Partial<Pick<StoredMessage, "approvalPolicy">>;

function writeMessage({ scope, messageId, sentAt, tenant, ...record }: StoredMessage): readonly (string | number)[] {
  const { environmentId } = scope;
  const entry = entryOf(environmentId, { ...scope, messageId });
  const { status } = record;
  return [
    entry,
    rowText(environmentId),
    hasEnded(status) ? 0 : 1,
    sentAt,
    status.reply?.text.length ?? 0,
    tenant ?? environmentId,
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
local tenants, totals = base .. ':tenants', base .. ':totals'
local function ofRow(row) return base .. ':row:' .. row end
local function openOf(row) return base .. ':open:' .. row end
local function setLength(entry, length)
  local before = tonumber(redis.call('HGET', lengths, entry) or '0')
  if length == before then return end
  if length == 0 then redis.call('HDEL', lengths, entry) else redis.call('HSET', lengths, entry, length) end
  redis.call('INCRBY', characters, length - before)
end
-- In this set, messages that have ended precede others, each by time.
local afterEnded = 2e15
local function timeOf(entry) return redis.call('ZSCORE', ofRow(rowOf(entry)), entry) end
local function place(entry, at, isOpen) redis.call('ZADD', sent, (isOpen and afterEnded or 0) + at, entry) end
-- Counts the messages of a row for its tenant.
local function count(row, tenant)
  local rows, messages = base .. ':rows:' .. tenant, redis.call('ZCARD', ofRow(row))
  redis.call('ZINCRBY', totals, messages - tonumber(redis.call('ZSCORE', rows, row) or '0'), tenant)
  redis.call('ZADD', rows, messages, row)
  if messages > 0 then return end
  redis.call('ZREM', rows, row)
  redis.call('HDEL', tenants, row)
  redis.call('ZREMRANGEBYSCORE', totals, 0, 0)
end
local function remove(entries)
  if #entries == 0 then return end
  local rows, length = {}, 0
  for i, before in ipairs(redis.call('HMGET', lengths, unpack(entries))) do
    local row = rowOf(entries[i])
    rows[row] = rows[row] or {}
    table.insert(rows[row], entries[i])
    length = length + (tonumber(before) or 0)
  end
  redis.call('DECRBY', characters, length)
  for _, hash in ipairs({ lengths, records }) do redis.call('HDEL', hash, unpack(entries)) end
  for _, set in ipairs({ names, sent }) do redis.call('ZREM', set, unpack(entries)) end
  for row, own in pairs(rows) do
    redis.call('ZREM', ofRow(row), unpack(own))
    redis.call('ZREM', openOf(row), unpack(own))
    local tenant = redis.call('HGET', tenants, row)
    -- Rows of earlier versions have none before their next message.
    if tenant then count(row, tenant) end
  end
end
local function found(entries)
  local reply = {}
  for _, entry in ipairs(entries) do
    reply[#reply + 1] = entry
    reply[#reply + 1] = timeOf(entry)
    reply[#reply + 1] = redis.call('HGET', records, entry)
  end
  return reply
end
`;

/** ARGV from 3 on: messages of a row, then for each message its entry, row, whether it is open, the time, the length of its text, its tenant, its record. */
const saveScript = `${prelude}${savePrelude}
local maxPerRow = tonumber(ARGV[3])
-- The same send has ended. In a text, a quote follows a backslash, so this finds only the member.
local function isLate(entry, row, isOpen, record)
  local before = isOpen == '1' and not redis.call('ZSCORE', openOf(row), entry) and redis.call('HGET', records, entry)
  local send = string.match(record, '"deliveryId":"[^"]*"')
  return before and send and string.find(before, send, 1, true) ~= nil
end
for i = 4, #ARGV, 7 do
  local entry, row, isOpen, at = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  if not isRemoved(row) and not isLate(entry, row, isOpen, ARGV[i + 6]) then
    redis.call('HSET', records, entry, ARGV[i + 6])
    redis.call('ZADD', ofRow(row), at, entry)
    if isOpen == '1' then redis.call('ZADD', openOf(row), at, entry) else redis.call('ZREM', openOf(row), entry) end
    setLength(entry, tonumber(ARGV[i + 4]))
    place(entry, at, isOpen == '1')
    if redis.call('ZADD', names, 0, entry) == 1 then
      redis.call('HSET', tenants, row, ARGV[i + 5])
      count(row, ARGV[i + 5])
    end
    if redis.call('ZCARD', ofRow(row)) > maxPerRow then redis.call('SADD', full, row) end
  end
end
`;

/** ARGV: prefix of the entries, limit. Returns the entry, time and record of each, the latest first. */
const readScript = `${prelude}
local entries, times = startingWith(ARGV[1]), {}
for _, entry in ipairs(entries) do times[entry] = tonumber(timeOf(entry)) end
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
    isBehind = isBehind or tonumber(timeOf(entry)) < tonumber(from)
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
-- The number of messages of a row before the first that has ended. They are at the same place in both sets, so halving finds it.
local function countOldestOpen(row)
  local low, high = 0, redis.call('ZCARD', openOf(row))
  while low < high do
    local middle = math.floor((low + high) / 2)
    local first, second = redis.call('ZRANGE', ofRow(row), middle, middle), redis.call('ZRANGE', openOf(row), middle, middle)
    if first[1] == second[1] then low = middle + 1 else high = middle end
  end
  return low
end
-- Removes some of the oldest messages of a row. They have ended if any has.
local function removeOldest(row, excess)
  local from, oldest = countOldestOpen(row), {}
  for _, entry in ipairs(redis.call('ZRANGE', ofRow(row), from, from + limit - 1)) do
    if #oldest < excess and hasEnded(entry) then oldest[#oldest + 1] = entry end
  end
  if #oldest == 0 and excess > 0 then oldest = redis.call('ZRANGE', ofRow(row), 0, excess - 1) end
  remove(oldest)
end
local removed = 0
for _, start in ipairs({ 0, afterEnded }) do
  local old = redis.call('ZRANGEBYSCORE', sent, start, start + ARGV[1], 'LIMIT', 0, limit - removed)
  remove(old)
  removed = removed + #old
end
if removed >= limit then return 1 end
local row = redis.call('SRANDMEMBER', full)
if row then
  removeOldest(row, math.min(redis.call('ZCARD', ofRow(row)) - maxPerRow, limit))
  if redis.call('ZCARD', ofRow(row)) <= maxPerRow then redis.call('SREM', full, row) end
  return 1
end
local excess = math.min(redis.call('ZCARD', sent) - maxMessages, limit)
local isTooLong = tonumber(redis.call('GET', characters) or '0') > maxReplies
if excess <= 0 and not isTooLong then return 0 end
local first = redis.call('ZRANGEBYSCORE', sent, '-inf', '(' .. afterEnded, 'LIMIT', 0, isTooLong and limit or excess)
-- Rows of earlier versions are counted from their next message. Until then the oldest messages are removed.
local isCounted = not first[1] or redis.call('HEXISTS', tenants, rowOf(first[1])) == 1
local tenant = excess > 0 and isCounted and redis.call('ZREVRANGE', totals, 0, 0)[1]
if tenant then
  local row = redis.call('ZREVRANGE', base .. ':rows:' .. tenant, 0, 0)[1]
  removeOldest(row, excess)
  -- An earlier version may have removed messages without counting them.
  count(row, tenant)
  return 1
end
local ended = {}
-- In logs of earlier versions, all messages are here.
for _, entry in ipairs(first) do
  if hasEnded(entry) then ended[#ended + 1] = entry else place(entry, timeOf(entry), true) end
end
remove(ended)
return #first > 0 and 1 or 0
`;

/** ARGV: row, limit. Returns how many messages were removed. */
const removeRowScript = `${prelude}
local row = ARGV[1]
noteRemoved(row)
local entries = redis.call('ZRANGE', ofRow(row), 0, ARGV[2] - 1)
remove(entries)
if redis.call('EXISTS', ofRow(row)) == 0 then redis.call('SREM', full, row) end
return #entries
`;
