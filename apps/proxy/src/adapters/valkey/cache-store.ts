/** The store of cached responses in Valkey, with the scripts that run there. Lifetimes are decided in `cache/`, coalescing stays in each process. */
import { type CacheEntry, type CacheStore, encodeKey } from "@letta-environments/http-cache";
import type { Clock, Sha256, ValkeyConnection, ValkeyReply } from "@letta-environments/platform";
import { createCircuitBreaker } from "../../lib/circuit-breaker.ts";
import { createShares } from "../../lib/shares.ts";

/** Maximum number of variants of a resource. Storing another one first removes all of them. */
const maxVariants = 32;
/** How long to send no requests to a server that failed, in milliseconds. */
const cooldownMs = 1_000;
/** How long a deletion is remembered, in milliseconds. A response whose fetch takes longer is not stored. */
const deletionMs = 600_000;
/** The hash tag of every key, so that a group and its responses are in the same slot of a cluster. */
const prefix = "{letta-proxy}:cache";

/** Rejects the calls of an outage after the first one, which rejects with the cause. */
export class KnownOutageError extends Error {
  override readonly name = "KnownOutageError";
}

type Wire = Omit<CacheEntry, "body"> & { readonly body: string };

export interface ValkeyCacheOptions {
  /**
   * How many bytes, and how many responses, this process may have stored at the same time; the last quarter is for first groups with at most an eighth.
   * Others are not stored: a full server refuses keys and sends, too.
   */
  readonly maxBytes: number;
  readonly maxEntries: number;
  /** Receives how long an outage lasted, in milliseconds. */
  readonly onRecovered: (durationMs: number) => void;
}

/**
 * Stores responses in Valkey or Redis, shared by all gateways that use it. A hit costs a round trip, and a miss three: the lookup, the time at which
 * the fetch begins, and the response. The server remembers when a resource or a group was deleted, and does not store responses that any gateway
 * requested before that. Nor does it replace an entry with one of the same variant that was requested earlier. While the server is unavailable, every
 * lookup is a miss; after a failure no request is sent to it for a second. Only the first call of an outage rejects with the cause.
 */
export function createValkeyCacheStore(
  connection: ValkeyConnection,
  clock: Clock,
  sha256: Sha256,
  { onRecovered, ...limits }: ValkeyCacheOptions,
): CacheStore {
  const stored = createStoredEntries(clock, limits);
  const breaker = createCircuitBreaker(clock, { cooldownMs });
  const resourceOf = (key: string): string => `${prefix}:answer:${sha256(key)}`;
  const groupOf = (group: string): string => `${prefix}:group:${sha256(group)}`;
  const deletionOf = (name: string): string => `${name}:deleted`;

  async function send(run: () => Promise<ValkeyReply>): Promise<ValkeyReply> {
    const admission = breaker.admit();
    if (admission === null) throw new KnownOutageError();
    let reply: ValkeyReply;
    try {
      reply = await run();
    } catch (cause) {
      throw breaker.recordFailure(admission) ? cause : new KnownOutageError();
    }
    const durationMs = breaker.recordSuccess(admission);
    if (durationMs !== null) onRecovered(durationMs);
    return reply;
  }

  async function put(key: string, entry: CacheEntry, begunAt: string): Promise<boolean> {
    const groups = entry.groups.map(groupOf);
    const names = [resourceOf(key), ...groups];
    const variant = sha256(encodeKey([...entry.vary, "", ...entry.variant]));
    const value = writeValue(entry, groups, begunAt);
    const name = `${resourceOf(key)} ${variant}`;
    if (!stored.reserve(name, groups[0] ?? "", value.length, entry.keepUntilMs)) return false;
    const values = [variant, value, Math.ceil(entry.keepUntilMs), maxVariants, begunAt, deletionMs];
    return (await send(() => connection.evaluate(putScript, [...names, ...names.map(deletionOf)], values))) === 1;
  }

  async function remove(script: string, name: string): Promise<void> {
    await send(() => connection.evaluate(script, [name, deletionOf(name)], [name, deletionMs]));
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
      await put(key, entry, "");
    },
    delete: (key) => remove(deleteScript, resourceOf(key)),
    deleteGroup(group) {
      stored.forgetGroup(groupOf(group));
      return remove(deleteGroupScript, groupOf(group));
    },
    async begin(key) {
      const begunAt = String(await send(() => connection.evaluate(timeScript, [resourceOf(key)], [])));
      return (entry) => put(key, entry, begunAt);
    },
  };
}

/** The entries that this process has stored and that have not expired. Entries that another process deleted, or that the server did not store, count, too. */
function createStoredEntries(
  clock: Pick<Clock, "now">,
  { maxBytes, maxEntries }: Pick<ValkeyCacheOptions, "maxBytes" | "maxEntries">,
) {
  /** By resource and variant, in the order in which they were stored. */
  const entries = new Map<string, { readonly group: string; readonly bytes: number; readonly untilMs: number }>();
  const [bytesOf, countOf] = [createShares(maxBytes), createShares(maxEntries)];

  function forget(name: string): void {
    const entry = entries.get(name);
    if (entry === undefined) return;
    entries.delete(name);
    bytesOf.add(entry.group, -entry.bytes);
    countOf.add(entry.group, -1);
  }

  return {
    /** Counts an entry, in the place of an earlier one with this name. Returns whether its group, such as a tenant, has room for it. */
    reserve(name: string, group: string, bytes: number, untilMs: number): boolean {
      const nowMs = clock.now();
      for (const [oldest, entry] of entries) {
        if (entry.untilMs > nowMs) break;
        forget(oldest);
      }
      const before = entries.get(name);
      const hasRoom = before !== undefined || countOf.hasRoomFor(group, 1);
      if (!hasRoom || !bytesOf.hasRoomFor(group, bytes - (before?.bytes ?? 0))) return false;
      forget(name);
      entries.set(name, { group, bytes, untilMs });
      bytesOf.add(group, bytes);
      countOf.add(group, 1);
      return true;
    },
    forgetGroup(group: string): void {
      for (const [name, entry] of entries) if (entry.group === group) forget(name);
    },
  };
}

/** Encodes an entry: the time at which its fetch began and its groups on the first line, for the script that replaces it, then the entry as JSON. */
function writeValue({ body, ...rest }: CacheEntry, groups: readonly string[], begunAt: string): string {
  const wire: Wire = { ...rest, body: Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString("base64") };
  return `${begunAt} ${groups.join(" ")}\n${JSON.stringify(wire)}`;
}

function readValue(value: string): CacheEntry {
  const { body, ...rest } = JSON.parse(value.slice(value.indexOf("\n") + 1)) as Wire;
  return { ...rest, body: new Uint8Array(Buffer.from(body, "base64")) };
}

/** The start of each script: the server's time in microseconds. */
const clock = `
  local time = redis.call('TIME')
  local nowUs = time[1] * 1000000 + time[2]
`;

/** Returns the time. KEYS names the server of a cluster. */
const timeScript = `${clock}
  return string.format('%.0f', nowUs)
`;

/** Remembers that something was deleted. KEYS are its name and the name of its deletion; ARGV the name and how long to remember, in milliseconds. */
const noteDeletion = `${clock}
  redis.call('SET', KEYS[2], string.format('%.0f', nowUs), 'PX', ARGV[2])
`;

/**
 * Stores an entry. KEYS are the resource and its groups, then the deletion of each; ARGV the variant, the value, the expiry in epoch milliseconds,
 * the largest number of variants, the time at which its fetch began (empty: unknown), and how long deletions are remembered. A group is a sorted set
 * of `resource variant` by expiry, so that expired members can be removed. An entry that is replaced leaves its groups. Returns 0 if the entry is
 * older than a deletion, or may be, or was requested before the stored entry of its variant.
 */
const putScript = `${clock}
  local now, count = math.floor(nowUs / 1000), #KEYS / 2
  local untilMs, begunUs = tonumber(ARGV[3]), tonumber(ARGV[5])
  if begunUs and nowUs - begunUs >= tonumber(ARGV[6]) * 1000 then return 0 end
  for index = count + 1, begunUs and #KEYS or 0 do
    local deletedUs = tonumber(redis.call('GET', KEYS[index]) or '')
    if deletedUs and deletedUs >= begunUs then return 0 end
  end
  local function keep(key)
    local left = redis.call('PTTL', key)
    if left < 0 or now + left < untilMs then redis.call('PEXPIREAT', key, untilMs) end
  end
  local stored = redis.call('HGET', KEYS[1], ARGV[1])
  local storedUs = stored and tonumber(string.match(stored, '^%d+') or '')
  -- A time in the future is from before the clock was set back.
  if begunUs and storedUs and storedUs > begunUs and storedUs <= nowUs then return 0 end
  if not stored and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[4]) then redis.call('DEL', KEYS[1]) end
  local member = KEYS[1] .. ' ' .. ARGV[1]
  -- Users of Valkey who may run the scripts of earlier versions have no ZREM.
  for group in string.gmatch(stored and string.match(stored, '^%d* ([^\\n]*)') or '', '%S+') do
    redis.call('ZADD', group, 'XX', 0, member)
    redis.call('ZREMRANGEBYSCORE', group, '-inf', now)
  end
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
  keep(KEYS[1])
  for index = 2, count do
    redis.call('ZREMRANGEBYSCORE', KEYS[index], '-inf', now)
    redis.call('ZADD', KEYS[index], untilMs, member)
    keep(KEYS[index])
  end
  return 1
`;

/** Deletes a resource. KEYS and ARGV as for {@link noteDeletion}. */
const deleteScript = `${noteDeletion}
  redis.call('DEL', KEYS[1])
  return 1
`;

/**
 * Deletes the entries of a group, without reading their values, which may be long. KEYS and ARGV as for {@link noteDeletion}. All keys are in the slot
 * of the group, because they share a hash tag.
 */
const deleteGroupScript = `${noteDeletion}
  for _, member in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
    local space = string.find(member, ' ', 1, true)
    local resource, variant = string.sub(member, 1, space - 1), string.sub(member, space + 1)
    redis.call('HDEL', resource, variant)
  end
  redis.call('DEL', KEYS[1])
  return 1
`;
