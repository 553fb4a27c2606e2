/**
 * The scripts of the log of changes. `former` has the name and the last position of each former series, the latest first. `state` has
 * `epoch`, `last` (position), for each part its size (`events`, `output`) and up to where changes were removed (`events-removed`,
 * `output-removed`), and who writes (`writer`, `append`).
 */
import { maxFormerSeries } from "../change-log.ts";

/** Entries of a stream that are read at a time. Each can be half a megabyte. */
const chunk = 16;

const prelude = `
local base = KEYS[1]
local state, former, recordings = base .. ':state', base .. ':former', base .. ':recordings'
local parts = {'events', 'output'}
local function streamOf(part) return base .. ':' .. part end
local function whole(number) return string.format('%.0f', number) end
local function get(name) return tonumber(redis.call('HGET', state, name) or '0') end
local function set(name, number) redis.call('HSET', state, name, whole(number)) end
local function positionOf(entry) return tonumber(string.match(entry[1], '^%d+')) end
local function begin(epoch)
  if redis.call('HEXISTS', state, 'epoch') == 0 then redis.call('HSET', state, 'epoch', epoch) end
end
-- Up to where changes are read. The writer appends those again that were not confirmed to it, under later positions.
local function readableThrough(writer, confirmed)
  local last = get('last')
  if confirmed == '' or redis.call('HGET', state, 'writer') ~= writer then return last end
  return math.min(last, tonumber(confirmed))
end
local function formerSeries() return table.concat(redis.call('LRANGE', former, 0, -1), ' ') end
local function timeOf(entry) return tonumber(entry[2][2]) end
local function sizeOf(entry) return tonumber(entry[2][4]) end
local function readFrom(part, position, count)
  return redis.call('XRANGE', streamOf(part), whole(position) .. '-0', '+', 'COUNT', count)
end
local function removeOldest(part, limit, mayStay)
  local size, removed, last = get(part), 0, nil
  while removed < limit do
    local entries, isDone = readFrom(part, (last or 0) + 1, ${chunk}), false
    for _, entry in ipairs(entries) do
      if removed >= limit or mayStay(entry, size) then isDone = true break end
      size, removed, last = size - sizeOf(entry), removed + 1, positionOf(entry)
    end
    if isDone or #entries < ${chunk} then break end
  end
  if not last then return 0 end
  redis.call('XTRIM', streamOf(part), 'MINID', whole(last + 1) .. '-0')
  set(part, size)
  set(part .. '-removed', last)
  return removed
end
`;

/**
 * ARGV: the name of a new series of positions, used if there is no series yet; the writer; the last position that was confirmed to the writer
 * (empty: none). Returns the name of the series, the last position, the positions up to which changes and output were removed, and the former series.
 */
export const readStateScript: string = `${prelude}
begin(ARGV[1])
local through = readableThrough(ARGV[2], ARGV[3])
return {redis.call('HGET', state, 'epoch'), whole(through), whole(get('events-removed')), whole(get('output-removed')),
  formerSeries()}
`;

/** ARGV: the writer; the name of a new series of positions, used if there is no series yet. Registers the writer. Returns the last position. */
export const claimScript: string = `${prelude}
begin(ARGV[2])
redis.call('HSET', state, 'writer', ARGV[1], 'append', '0')
return get('last')
`;

/**
 * ARGV: writer, number of its append, the last position that was confirmed to it, now, the largest sizes, the name of the series that begins
 * (empty: none), then for each change its part, size, tenant, device, and text. Returns the first position and the name of its series, or `lost`
 * or `taken`.
 */
export const appendScript: string = `${prelude}
local writer, append, confirmed, now = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local last = get('last')
local current = redis.call('HGET', state, 'writer')
-- Positions only grow, so one that is missing was lost with the server's data.
if not current or last < confirmed then return 'lost' end
-- The second condition: it was delayed, and a later one has run.
if current ~= writer or append <= get('append') then return 'taken' end
for _, part in ipairs(last > confirmed and parts or {}) do
  for _, entry in ipairs(redis.call('XRANGE', streamOf(part), whole(confirmed + 1) .. '-0', '+')) do
    redis.call('XDEL', streamOf(part), entry[1])
    set(part, get(part) - sizeOf(entry))
  end
end
local epoch, next = redis.call('HGET', state, 'epoch'), ARGV[7]
-- An attempt whose reply did not arrive may have begun it.
if next ~= '' and next ~= epoch then
  redis.call('LPUSH', former, epoch .. ' ' .. whole(last))
  redis.call('LTRIM', former, 0, ${maxFormerSeries - 1})
  epoch = next
end
redis.call('HSET', state, 'append', whole(append), 'epoch', epoch)
local position, sizes = last, {events = get('events'), output = get('output')}
for i = 8, #ARGV, 5 do
  local part, size = ARGV[i], ARGV[i + 1]
  position = position + 1
  redis.call('XADD', streamOf(part), whole(position) .. '-0',
    'at', now, 'size', size, 'tenant', ARGV[i + 2], 'device', ARGV[i + 3], 'text', ARGV[i + 4])
  sizes[part] = sizes[part] + tonumber(size)
end
set('last', position)
for number, part in ipairs(parts) do
  local maxSize = tonumber(ARGV[4 + number])
  set(part, sizes[part])
  if sizes[part] > maxSize then removeOldest(part, math.huge, function(_, left) return left <= maxSize end) end
end
return {last + 1, epoch}
`;

/**
 * ARGV: name of the new series, writer, number of its append, the last position that was confirmed to it (empty: none). Returns the last position, or
 * `taken`.
 */
export const restartScript: string = `${prelude}
local last, current = get('last'), redis.call('HGET', state, 'writer')
local confirmed = tonumber(ARGV[4])
if confirmed and current and current ~= ARGV[2] and last >= confirmed then return 'taken' end
-- It was delayed, and a later append or restart has run.
if current == ARGV[2] and tonumber(ARGV[3]) <= get('append') then return 'taken' end
for _, part in ipairs(parts) do
  redis.call('DEL', streamOf(part))
  set(part, 0)
  set(part .. '-removed', last)
end
redis.call('DEL', former)
redis.call('HSET', state, 'epoch', ARGV[1], 'writer', ARGV[2], 'append', ARGV[3])
return whole(last)
`;

/**
 * ARGV: position after which changes are read, tenant, 1 with output, the most changes, their largest size, the most entries to examine, writer, the
 * last position that was confirmed to it (empty: none), 1 for all devices, else the devices. Returns the name of the series and the former ones, the
 * last examined position, 1 when there is more, up to where events and output were removed, and position, time, device and text of each change.
 */
export const readPageScript: string = `${prelude}
local after, tenant = tonumber(ARGV[1]), ARGV[2]
local maxChanges, maxSize, left, isAll = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[9] == '1'
local last, devices = readableThrough(ARGV[7], ARGV[8]), {}
for i = 10, #ARGV do devices[ARGV[i]] = true end
local readers = {{part = 'events'}}
if ARGV[3] == '1' then readers[2] = {part = 'output'} end
for _, reader in ipairs(readers) do reader.entries, reader.next, reader.from, reader.isDone = {}, 1, after + 1, false end
local function peek(reader)
  if reader.next > #reader.entries and not reader.isDone then
    reader.entries, reader.next = readFrom(reader.part, reader.from, ${chunk}), 1
    reader.isDone = #reader.entries < ${chunk}
    if not reader.isDone then reader.from = positionOf(reader.entries[${chunk}]) + 1 end
  end
  return reader.entries[reader.next]
end
local reply, count, size = {}, 0, 0
local function page(through, hasMore)
  local epoch = redis.call('HGET', state, 'epoch') or ''
  local removed = {whole(get('events-removed')), whole(get('output-removed'))}
  return {epoch, formerSeries(), whole(through), hasMore, removed[1], removed[2], reply}
end
while true do
  local first, from
  for _, reader in ipairs(readers) do
    local entry = peek(reader)
    if entry and (not first or positionOf(entry) < positionOf(first)) then first, from = entry, reader end
  end
  local position = first and positionOf(first)
  if not position or position > last then return page(math.max(after, last), 0) end
  if left == 0 then return page(position - 1, 1) end
  local values = first[2]
  if values[6] == tenant and (isAll or devices[values[8]]) then
    if count >= maxChanges or (count > 0 and size + sizeOf(first) > maxSize) then
      return page(position - 1, 1)
    end
    count, size = count + 1, size + sizeOf(first)
    reply[#reply + 1] = whole(position)
    reply[#reply + 1] = whole(timeOf(first))
    reply[#reply + 1] = values[8]
    reply[#reply + 1] = values[10]
  end
  from.next, left = from.next + 1, left - 1
end
`;

/** Returns the tenant and the text of each recording. */
export const recordingsScript: string = `${prelude}
return redis.call('HGETALL', recordings)
`;

/** ARGV: tenant, text. The text begins with the time at which the recording ends. */
export const saveRecordingScript: string = `${prelude}
redis.call('HSET', recordings, ARGV[1], ARGV[2])
`;

/** ARGV: now, limit, the latest expired time of each part. Returns 1 when there may be more to remove. */
export const pruneScript: string = `${prelude}
local all = redis.call('HGETALL', recordings)
for i = 1, #all, 2 do
  if tonumber(string.match(all[i + 1], '^%d+')) <= tonumber(ARGV[1]) then redis.call('HDEL', recordings, all[i]) end
end
local limit, mayBeMore = tonumber(ARGV[2]), 0
for number, part in ipairs(parts) do
  local latest = tonumber(ARGV[2 + number])
  if removeOldest(part, limit, function(entry) return timeOf(entry) > latest end) >= limit then mayBeMore = 1 end
end
return mayBeMore
`;
