/**
 * Names and scripts of keys in Valkey. All names are in one hash slot. Every change writes a new stamp in the same step, so that
 * whoever sees the old stamp has missed nothing, also when the server lost its last changes or all of them.
 */

/** Hash of records in JSON by key id. */
export const recordsName = "{letta-environments:keys}:records";
/** Hash of last uses in epoch milliseconds by key id. */
export const usesName = "{letta-environments:keys}:uses";
/** Random text of the last change. */
export const stampName = "{letta-environments:keys}:stamp";

/** Keys: records, stamp. Values: id, record, stamp. 1 when the key was added, 0 when the id is taken. */
export const createScript: string = `
if redis.call("HSETNX", KEYS[1], ARGV[1], ARGV[2]) == 0 then return 0 end
redis.call("SET", KEYS[2], ARGV[3])
return 1`;

/** Keys: records, stamp. Values: id, record as it was read, record, stamp. 1 when written, 0 when it is no longer as it was read. */
export const replaceScript: string = `
if redis.call("HGET", KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call("HSET", KEYS[1], ARGV[1], ARGV[3])
redis.call("SET", KEYS[2], ARGV[4])
return 1`;

/** Keys: records, uses. Values: id and use of each key. Later uses stay, unknown keys are passed over. */
export const useScript: string = `
for i = 1, #ARGV, 2 do
  if redis.call("HEXISTS", KEYS[1], ARGV[i]) == 1 then
    local before = redis.call("HGET", KEYS[2], ARGV[i])
    if not before or tonumber(before) < tonumber(ARGV[i + 1]) then redis.call("HSET", KEYS[2], ARGV[i], ARGV[i + 1]) end
  end
end
return 0`;
