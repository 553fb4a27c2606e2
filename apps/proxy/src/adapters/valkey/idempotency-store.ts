/**
 * Remembers sends in Valkey or Redis, shared by every gateway that uses the server. Each call runs one script, which the server
 * runs atomically. Each id is a hash under its own key; results are stored separately, because several ids share one.
 *
 * Times are the server's wall time (`TIME`), so the clocks of the gateways do not matter. If the server's clock is set back, an id
 * from the future counts as reserved when it is next read. The server must keep what it confirms: see `server-info.ts`.
 *
 * A reservation may still be on its way when its gateway gives up and releases the send over another connection. A release that finds no id
 * therefore leaves a mark with the send id, and a reservation whose mark exists is refused: a send id is never reserved after its release.
 */
import type { Clock, ValkeyConnection, ValkeyReply } from "@letta-environments/platform";
import {
  type IdempotencyStore,
  type KnownConnection,
  type KnownEntry,
  type Reservation,
  retentionMs,
  type SendResult,
  type SendScope,
  throwUnavailable,
} from "../../idempotency/store.ts";
import { refusalOfWrite } from "./refusals.ts";

export interface ValkeyIdempotencyStoreOptions {
  /** Separates deployments that share a server. Default: `letta-proxy`. */
  readonly prefix?: string;
  /** For tests: replaces the server's clock. */
  readonly clock?: Clock;
}

/** How long a key outlives its use, in milliseconds. A test clock differs from the server's, so its keys live longer. */
const marginMs = 1_000;
const marginUnderTestClockMs = 3_600_000;

export function createValkeyIdempotencyStore(
  connection: ValkeyConnection,
  { prefix = "letta-proxy", clock }: ValkeyIdempotencyStoreOptions = {},
): IdempotencyStore {
  const margin = clock === undefined ? marginMs : marginUnderTestClockMs;
  const keys = createKeys(prefix);

  async function evaluate(
    script: string,
    names: readonly string[],
    values: readonly (string | number)[],
  ): Promise<ValkeyReply> {
    const times = [clock === undefined ? "" : Math.floor(clock.now()), retentionMs, margin];
    return connection.evaluate(script, names, [...times, ...values]);
  }

  /** Reads the entries that a script returned, and their results. */
  async function readKnown(reply: ValkeyReply, scope: SendScope, ids: readonly string[]): Promise<KnownEntry[]> {
    const rows = readRows(reply, ids);
    if (rows.length === 0) return [];
    // The ids of a send share its result.
    const sendIds = [...new Set(rows.map(({ sendId }) => sendId))];
    const replies = await connection.command(["MGET", ...sendIds.map((sendId) => keys.result(scope, sendId))]);
    if (!Array.isArray(replies) || replies.length !== sendIds.length) throw unexpectedReply();
    const results = new Map(sendIds.map((sendId, index) => [sendId, readResult(replies[index] ?? null)]));
    return rows.map(({ isInProgress, ...entry }) => {
      const result = results.get(entry.sendId) ?? null;
      if (result === null) return { ...entry, state: { kind: isInProgress ? "in_progress" : "unknown" } };
      return { ...entry, state: { kind: "finished", result } };
    });
  }

  const keysOf = ({ scope, entries, sendId }: Reservation, last: string): readonly string[] => [
    ...entries.map(({ id }) => keys.id(scope, id)),
    keys.released(scope, sendId),
    last,
  ];

  return {
    reserve: (reservation) =>
      translateFailure(async () => {
        const { scope, entries, sendId, leaseMs, connectionId, connection: known } = reservation;
        const ids = entries.map(({ id }) => id);
        const names = keysOf(reservation, keys.connection(scope.tenant, connectionId));
        const values = [sendId, leaseMs, JSON.stringify(known), ...entries.map(({ fingerprint }) => fingerprint)];
        try {
          const reply = await evaluate(reserveScript, names, values);
          const found = await readKnown(reply, scope, ids);
          return found.length === 0 ? { kind: "reserved" } : { kind: "known", entries: found };
        } catch (cause) {
          if (refusalOfWrite(cause) === "OOM") return { kind: "full" };
          throw cause;
        }
      }),
    find: (scope, ids) =>
      translateFailure(async () => {
        if (ids.length === 0) return [];
        const names = ids.map((id) => keys.id(scope, id));
        return readKnown(await evaluate(findScript, names, []), scope, ids);
      }),
    settle: (reservation, result) =>
      translateFailure(async () => {
        const { scope, sendId } = reservation;
        await evaluate(settleScript, keysOf(reservation, keys.result(scope, sendId)), [sendId, JSON.stringify(result)]);
      }),
    release: (reservation) =>
      translateFailure(async () => {
        const { scope, sendId } = reservation;
        await evaluate(releaseScript, keysOf(reservation, keys.result(scope, sendId)), [sendId]);
      }),
    findConnection: (tenant, connectionId) =>
      translateFailure(async () => {
        const reply = await evaluate(connectionScript, [keys.connection(tenant, connectionId)], []);
        if (reply === null) return null;
        if (typeof reply !== "string") throw unexpectedReply();
        return JSON.parse(reply) as KnownConnection;
      }),
  };
}

/** The keys of a tenant have one hash tag, so that a script's keys are in one slot of a cluster. JSON separates the parts. */
function createKeys(prefix: string) {
  const tag = (tenant: string): string => `{${prefix}:${JSON.stringify(tenant)}}:send`;
  return {
    id: ({ tenant, environmentId, agentId, conversationId }: SendScope, id: string): string =>
      `${tag(tenant)}:id:${JSON.stringify([environmentId, agentId, conversationId, id])}`,
    result: ({ tenant }: SendScope, sendId: string): string => `${tag(tenant)}:result:${JSON.stringify(sendId)}`,
    released: ({ tenant }: SendScope, sendId: string): string => `${tag(tenant)}:released:${JSON.stringify(sendId)}`,
    connection: (tenant: string, connectionId: string): string =>
      `${tag(tenant)}:connection:${JSON.stringify(connectionId)}`,
  };
}

interface Row extends Omit<KnownEntry, "state"> {
  readonly isInProgress: boolean;
}

function readRows(reply: ValkeyReply, ids: readonly string[]): readonly Row[] {
  if (!Array.isArray(reply)) throw unexpectedReply();
  return reply.map((row: ValkeyReply): Row => {
    const [position, sendId, fingerprint, isInProgress] = Array.isArray(row) ? row : [];
    const id = ids[Number(position) - 1];
    if (id === undefined || typeof sendId !== "string" || typeof fingerprint !== "string") throw unexpectedReply();
    return { id, fingerprint, sendId, isInProgress: isInProgress === 1 };
  });
}

function readResult(reply: ValkeyReply): SendResult | null {
  return reply === null ? null : (JSON.parse(String(reply)) as SendResult);
}

function unexpectedReply(): Error {
  return new Error("a script of the idempotency store returned an unexpected reply");
}

function translateFailure<Result>(run: () => Promise<Result>): Promise<Result> {
  return run().catch(throwUnavailable);
}

/**
 * Begins every script. ARGV: the time in milliseconds (empty: the server's), how long ids are remembered, and how long a key outlives that.
 * `storedAt` returns when an id or a connection was stored; nothing if that is too long ago. It replaces a future time with now.
 */
const prelude = `
local now, retention, margin = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local function whole(number) return string.format('%.0f', number) end
local function keep(key) redis.call('PEXPIRE', key, whole(retention + margin)) end
local function storedAt(key)
  local at = tonumber(redis.call('HGET', key, 'at') or nil)
  if at and at > now then
    at = now
    redis.call('HSET', key, 'at', whole(now))
    keep(key)
  end
  if at and now < at + retention then return at end
end
local function known(count)
  local rows = {}
  for i = 1, count do
    local at = storedAt(KEYS[i])
    if at then
      local values = redis.call('HMGET', KEYS[i], 'send', 'fingerprint', 'lease')
      local running = 0
      if now < at + tonumber(values[3]) then running = 1 end
      rows[#rows + 1] = {i, values[1], values[2], running}
    end
  end
  return rows
end
`;

/**
 * KEYS: each id, the mark of a released send, then the connection. ARGV from 4 on: send id, lease in milliseconds, the connection as JSON, then the
 * fingerprint of each id. Returns the known ids: position, send id, fingerprint, `1` while the lease lasts. If there are none, all are reserved.
 */
const reserveScript = `${prelude}
local count = #KEYS - 2
if redis.call('EXISTS', KEYS[count + 1]) == 1 then return redis.error_reply('ERR the send was released') end
local rows = known(count)
if #rows > 0 then
  -- A server without memory for it refuses, and the repeat still receives its result.
  redis.pcall('HSET', KEYS[#KEYS], 'at', whole(now), 'connection', ARGV[6])
  keep(KEYS[#KEYS])
  return rows
end
for i = 1, count do
  redis.call('HSET', KEYS[i], 'at', whole(now), 'send', ARGV[4], 'lease', ARGV[5], 'fingerprint', ARGV[6 + i])
  keep(KEYS[i])
end
redis.call('HSET', KEYS[#KEYS], 'at', whole(now), 'connection', ARGV[6])
keep(KEYS[#KEYS])
return rows
`;

/** KEYS: each id. Returns the known ones, like {@link reserveScript}. */
const findScript = `${prelude}
return known(#KEYS)
`;

/** Begins the scripts that end a send. KEYS: each id, the mark of a released send, then the result. ARGV from 4 on: send id. */
const endPrelude = `${prelude}
local released, result, own = KEYS[#KEYS - 1], KEYS[#KEYS], {}
for i = 1, #KEYS - 2 do
  if redis.call('HGET', KEYS[i], 'send') == ARGV[4] then own[#own + 1] = KEYS[i] end
end
`;

/** ARGV from 5 on: the result as JSON. Stores it unless there is one, or none of the ids belongs to the send any longer. */
const settleScript = `${endPrelude}
for _, key in ipairs(own) do
  if now < tonumber(redis.call('HGET', key, 'at')) + retention then
    redis.call('SET', result, ARGV[5], 'PX', whole(retention + margin), 'NX')
    return
  end
end
`;

/** Deletes the ids of a send that has no result. If there are none, its reservation may still arrive, and the mark refuses it. */
const releaseScript = `${endPrelude}
if redis.call('EXISTS', result) == 1 then return end
for _, key in ipairs(own) do redis.call('DEL', key) end
if #own == 0 then redis.call('SET', released, '', 'PX', whole(retention + margin)) end
`;

/** KEYS: a connection. Returns it as JSON. */
const connectionScript = `${prelude}
if storedAt(KEYS[1]) then return redis.call('HGET', KEYS[1], 'connection') end
`;
