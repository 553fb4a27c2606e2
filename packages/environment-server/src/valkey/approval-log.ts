/**
 * {@link ApprovalLog} in Valkey or Redis. One sorted set has the pending requests by the time of the request, another has the decided ones
 * by the time of the decision; a hash has all of them as JSON.
 */
import type { ValkeyConnection, ValkeyReply } from "@letta-environments/platform";
import { type ApprovalKey, type ApprovalLogLimits, type StoredApproval, withoutDecidedInput } from "../approval-log.ts";
import { approvalLogLimits } from "../limits.ts";
import type { SeparateApprovalLog } from "../logs/separate.ts";
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
 * Creates a {@link SeparateApprovalLog}. Its promises reject with a `ValkeyError` while the server does not respond. The server must keep
 * confirmed writes: `appendonly yes` and `maxmemory-policy noeviction`.
 */
export function createValkeyApprovalLog(
  connection: ValkeyConnection,
  { limits = approvalLogLimits, ...options }: ValkeyLogOptions<ApprovalLogLimits> = {},
): SeparateApprovalLog {
  const run = createRunScript(connection, "approvals", options);
  const save = createRunSave(run);
  return {
    async saveApprovals(saved, removed) {
      if (saved.length + removed.length === 0) return;
      await save(saveScript, [removed.length, ...removed.map(entryOf), ...saved.flatMap(writeApproval)]);
    },
    async findPendingApprovals(limit, environmentId) {
      if (environmentId === undefined) return readApprovals(await run(findPendingScript, [limit]));
      return readApprovals(await run(findPendingOfRowScript, [limit, beginningOf(environmentId)]));
    },
    findDecidedApproval: async (key) => readApprovals(await run(findDecidedScript, [entryOf(key)]))[0] ?? null,
    pruneApprovals: async (nowMs, limit) =>
      (await run(pruneScript, [nowMs - limits.durationMs, limit, limits.maxDecisions])) === 1,
    async removeRows(environmentIds) {
      for (const id of environmentIds)
        await repeatScript(() => run(removeRowScript, [rowText(id), beginningOf(id), entriesPerScript]));
    },
  };
}

function entryOf({ scope: { environmentId, agentId, conversationId }, toolCallId }: ApprovalKey): string {
  return JSON.stringify([environmentId, toolCallId, agentId, conversationId]);
}

function writeApproval(approval: StoredApproval): readonly (string | number)[] {
  const { scope, request, requestedAt, decision } = approval;
  const entry = entryOf({ scope, toolCallId: request.toolCallId });
  const [state, at] = decision === null ? ["pending", requestedAt] : ["decided", decision.decidedAt];
  return [entry, rowText(scope.environmentId), state, at, JSON.stringify(withoutDecidedInput(approval))];
}

function readApprovals(reply: ValkeyReply): readonly StoredApproval[] {
  return readRows(reply, 2).map(([requestedAt = "", text = ""]) => {
    // Only this file writes records.
    const approval = JSON.parse(text) as StoredApproval;
    return requestedAt === "" ? approval : { ...approval, requestedAt: Number(requestedAt) };
  });
}

const prelude = `${rowPrelude}
local pending, decided = base .. ':pending', base .. ':decided'
local function remove(entry)
  redis.call('HDEL', records, entry)
  redis.call('ZREM', names, entry)
  redis.call('ZREM', pending, entry)
  redis.call('ZREM', decided, entry)
end
`;

/** ARGV from 3 on: the number of removed requests, their entries, then for each saved request its entry, row, state, time and record. */
const saveScript = `${prelude}${savePrelude}
local removed = tonumber(ARGV[3])
for i = 4, removed + 3 do
  if redis.call('ZSCORE', pending, ARGV[i]) then remove(ARGV[i]) end
end
for i = removed + 4, #ARGV, 5 do
  local entry, state = ARGV[i], ARGV[i + 2]
  if not isRemoved(ARGV[i + 1]) then
    redis.call('HSET', records, entry, ARGV[i + 4])
    redis.call('ZADD', names, 0, entry)
    redis.call('ZADD', base .. ':' .. state, ARGV[i + 3], entry)
    redis.call('ZREM', state == 'pending' and decided or pending, entry)
  end
end
`;

/** ARGV: limit. Returns the time and the record of each, the oldest first. */
const findPendingScript = `${prelude}
local entries, reply = redis.call('ZRANGE', pending, 0, ARGV[1] - 1, 'WITHSCORES'), {}
for i = 1, #entries, 2 do
  reply[#reply + 1] = entries[i + 1]
  reply[#reply + 1] = redis.call('HGET', records, entries[i])
end
return reply
`;

/** ARGV: limit, prefix of the entries of a row. Returns the same as {@link findPendingScript}. */
const findPendingOfRowScript = `${prelude}
local entries, times, reply = {}, {}, {}
for _, entry in ipairs(startingWith(ARGV[2])) do
  times[entry] = redis.call('ZSCORE', pending, entry)
  if times[entry] then entries[#entries + 1] = entry end
end
table.sort(entries, function(left, right) return tonumber(times[left]) < tonumber(times[right]) end)
for i = 1, math.min(#entries, tonumber(ARGV[1])) do
  reply[#reply + 1] = times[entries[i]]
  reply[#reply + 1] = redis.call('HGET', records, entries[i])
end
return reply
`;

/** ARGV: entry. Returns the record with an empty time, or nothing. */
const findDecidedScript = `${prelude}
if not redis.call('ZSCORE', decided, ARGV[1]) then return {} end
return {'', redis.call('HGET', records, ARGV[1])}
`;

/** ARGV: the latest expired time, limit, maximum number of decisions. Returns 1 when there may be more to remove. */
const pruneScript = `${prelude}
local limit = tonumber(ARGV[2])
local old = redis.call('ZCOUNT', decided, '-inf', ARGV[1])
local excess = math.max(old, redis.call('ZCARD', decided) - tonumber(ARGV[3]))
if excess > 0 then
  for _, entry in ipairs(redis.call('ZRANGE', decided, 0, math.min(excess, limit) - 1)) do remove(entry) end
end
if excess >= limit then return 1 end
return 0
`;

/** ARGV: row, prefix of its entries, limit. Returns how many requests were removed. */
const removeRowScript = `${prelude}
noteRemoved(ARGV[1])
local entries = startingWith(ARGV[2], 'LIMIT', 0, ARGV[3])
for _, entry in ipairs(entries) do remove(entry) end
return #entries
`;
