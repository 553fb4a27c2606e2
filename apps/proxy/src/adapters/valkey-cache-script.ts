/**
 * Stores an entry. KEYS are the resource and its groups; ARGV the variant, the value, the expiry in epoch milliseconds, and the largest number of
 * variants. A group is a sorted set of `resource variant` by expiry, so that expired members can be removed.
 */
export const putScript = `
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local untilMs = tonumber(ARGV[3])
  local function keep(key)
    local left = redis.call('PTTL', key)
    if left < 0 or now + left < untilMs then redis.call('PEXPIREAT', key, untilMs) end
  end
  local isNew = redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0
  if isNew and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[4]) then redis.call('DEL', KEYS[1]) end
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
  keep(KEYS[1])
  for index = 2, #KEYS do
    redis.call('ZREMRANGEBYSCORE', KEYS[index], '-inf', now)
    redis.call('ZADD', KEYS[index], untilMs, KEYS[1] .. ' ' .. ARGV[1])
    keep(KEYS[index])
  end
  return 1
`;

/**
 * Deletes the entries of a group. KEYS is the group, ARGV its name as in the first line of each value. An entry that was replaced by one of other
 * groups is kept. All keys are in the slot of the group, because they share a hash tag.
 */
export const deleteGroupScript = `
  for _, member in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
    local space = string.find(member, ' ', 1, true)
    local resource, variant = string.sub(member, 1, space - 1), string.sub(member, space + 1)
    local value = redis.call('HGET', resource, variant)
    if value then
      local groups = string.sub(value, 1, string.find(value, '\\n', 1, true))
      if string.find(groups, ARGV[1], 1, true) then redis.call('HDEL', resource, variant) end
    end
  end
  redis.call('DEL', KEYS[1])
  return 1
`;
