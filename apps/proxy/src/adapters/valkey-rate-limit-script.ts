/**
 * Decides all demands of a request in one step, by the server's own clock. It does what `decideRateLimits` does, with the same whole
 * microseconds: numbers of Lua are float64, and everything here stays below 2^53.
 *
 * KEYS: one for each demand. ARGV: the time in microseconds (empty: the server's), the lease id, `1` for a probe, milliseconds that a
 * key outlives its use; then four for each demand: unit, `1` when it is enforced, burst and cost in microseconds; for
 * concurrent requests limit and window in microseconds.
 *
 * Answers the time, then for each demand what was known of it: an arrival time, or the number of others' leases.
 */
export const takeScript = `
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local lease, probe, margin = ARGV[2], ARGV[3] == '1', tonumber(ARGV[4])
local function whole(number) return string.format('%.0f', number) end
local states, kept, allowed, admitted = {}, {}, {}, true
for i, key in ipairs(KEYS) do
  local at = 4 * i
  local state, passes
  if ARGV[at + 1] == 'requests' then
    local burst, cost = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
    state = tonumber(redis.call('GET', key) or 0)
    local base = math.min(math.max(state, now), now + burst)
    passes = base + cost <= now + burst
    kept[i] = base + cost
  else
    local limit, window = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
    state = redis.call('ZCOUNT', key, '(' .. whole(now), '+inf')
    local own = redis.call('ZSCORE', key, lease)
    if own and tonumber(own) > now then state = state - 1 end
    passes = state < limit
    kept[i] = now + window
  end
  states[i], allowed[i] = state, passes
  if not passes and ARGV[at + 2] == '1' then admitted = false end
end
if not probe then
  for i, key in ipairs(KEYS) do
    local at = 4 * i
    if ARGV[at + 1] == 'requests' then
      local burst, cost = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
      local keep = math.min(states[i], now + burst)
      if admitted and allowed[i] and cost > 0 then keep = kept[i] end
      if keep ~= states[i] then
        redis.call('SET', key, whole(keep), 'PX', whole(math.ceil((keep - now) / 1000) + margin))
      end
    else
      local latest = whole(kept[i])
      redis.call('ZREMRANGEBYSCORE', key, '-inf', whole(now))
      for _, id in ipairs(redis.call('ZRANGEBYSCORE', key, '(' .. latest, '+inf')) do redis.call('ZADD', key, latest, id) end
      if admitted and allowed[i] then
        redis.call('ZADD', key, latest, lease)
        redis.call('PEXPIRE', key, whole(math.ceil((kept[i] - now) / 1000) + margin))
      end
    end
  end
end
table.insert(states, 1, now)
return states
`;

/** Gives a lease back. KEYS: one for each policy; ARGV: the lease id. Answers how many there were. */
export const releaseScript = `
local count = 0
for _, key in ipairs(KEYS) do count = count + redis.call('ZREM', key, ARGV[1]) end
return count
`;
