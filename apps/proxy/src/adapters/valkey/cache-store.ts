import { type CacheEntry, type CacheStore, encodeKey } from "@letta-environments/http-cache";
import type { Clock, Sha256, ValkeyConnection, ValkeyReply } from "@letta-environments/platform";
import { createCircuitBreaker } from "../../lib/circuit-breaker.ts";

/** Variants of one resource. One more replaces all of them. */
const maxVariants = 32;
/** How long no request is sent to a server that failed, in milliseconds. */
const cooldownMs = 1_000;
/** The hash tag of every key, so that a group and its responses are in the same slot of a cluster. */
const prefix = "{letta-proxy}:cache";

type Wire = Omit<CacheEntry, "body"> & { readonly body: string };

/**
 * Stores responses in Valkey or Redis, shared by all gateways that use it. A hit costs a round trip. While the server is unavailable, every lookup is a
 * miss; after a failure no request is sent to it for a second.
 */
export function createValkeyCacheStore(connection: ValkeyConnection, clock: Clock, sha256: Sha256): CacheStore {
  const breaker = createCircuitBreaker(clock, { cooldownMs });
  const resourceOf = (key: string): string => `${prefix}:answer:${sha256(key)}`;
  const groupOf = (group: string): string => `${prefix}:group:${sha256(group)}`;

  async function send(run: () => Promise<ValkeyReply>): Promise<ValkeyReply> {
    const admission = breaker.admit();
    if (admission === null) throw new Error("Valkey failed less than a second ago");
    try {
      const reply = await run();
      breaker.succeeded(admission);
      return reply;
    } catch (cause) {
      breaker.failed(admission);
      throw cause;
    }
  }

  return {
    async get(key) {
      const reply = await send(() => connection.command(["HVALS", resourceOf(key)]));
      if (!Array.isArray(reply)) return [];
      const nowMs = clock.now();
      return reply
        .flatMap((value: ValkeyReply) => (typeof value === "string" ? [readValue(value)] : []))
        .filter(({ keepUntilMs }) => keepUntilMs > nowMs);
    },
    async put(key, entry) {
      const groups = entry.groups.map(groupOf);
      const variant = sha256(encodeKey([...entry.vary, "", ...entry.variant]));
      const values = [variant, writeValue(entry, groups), Math.ceil(entry.keepUntilMs), maxVariants];
      await send(() => connection.evaluate(putScript, [resourceOf(key), ...groups], values));
    },
    async delete(key) {
      await send(() => connection.command(["DEL", resourceOf(key)]));
    },
    async deleteGroup(group) {
      const name = groupOf(group);
      await send(() => connection.evaluate(deleteGroupScript, [name], [name]));
    },
  };
}

/** Encodes an entry: its groups on the first line, for the script, then the entry as JSON. */
function writeValue({ body, ...rest }: CacheEntry, groups: readonly string[]): string {
  const wire: Wire = { ...rest, body: Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString("base64") };
  return `${groups.join(" ")}\n${JSON.stringify(wire)}`;
}

function readValue(value: string): CacheEntry {
  const { body, ...rest } = JSON.parse(value.slice(value.indexOf("\n") + 1)) as Wire;
  return { ...rest, body: new Uint8Array(Buffer.from(body, "base64")) };
}

/**
 * Stores an entry. KEYS are the resource and its groups; ARGV the variant, the value, the expiry in epoch milliseconds, and the largest number of
 * variants. A group is a sorted set of `resource variant` by expiry, so that expired members can be removed.
 */
const putScript = `
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
const deleteGroupScript = `
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
