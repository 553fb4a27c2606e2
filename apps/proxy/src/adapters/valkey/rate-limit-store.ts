import type { Clock, ValkeyConnection, ValkeyReply } from "@letta-environments/platform";
import { decideRateLimits } from "../../rate-limit/decide.ts";
import { intervalUsOf } from "../../rate-limit/gcra.ts";
import type { RateLimitCheck } from "../../rate-limit/policy.ts";
import type { RateLimitOutcome, RateLimitStore } from "../../rate-limit/store.ts";

/** Where limits lie in Valkey, and how long they are waited for. */
export interface ValkeyRateLimitStoreOptions {
  /**
   * Tells deployments apart that share a server; `letta-proxy` unless told otherwise. It is the hash tag of every key: a request's
   * policies are decided by one script, whose keys must be in one slot of a cluster.
   */
  readonly prefix?: string;
  /** How long the connection waits for a reply, in milliseconds; its own default unless told otherwise. */
  readonly timeoutMs?: number;
  /** For tests: time from here in the place of the server's. */
  readonly clock?: Clock;
}

/** How long a key outlives its use, in milliseconds; under another clock than the server's long enough to be there at all. */
const marginMs = 1_000;
const marginUnderOtherClockMs = 3_600_000;

/** Limits in Valkey or Redis, shared by every process that uses it: one script call a request, by the server's clock. */
export function createValkeyRateLimitStore(
  connection: ValkeyConnection,
  { prefix = "letta-proxy", timeoutMs, clock }: ValkeyRateLimitStoreOptions = {},
): RateLimitStore {
  const callOptions = timeoutMs === undefined ? undefined : { timeoutMs };
  const margin = clock === undefined ? marginMs : marginUnderOtherClockMs;
  const keyOf = ({ policy, key }: RateLimitCheck): string =>
    `{${prefix}}:limit:${policy.unit === "requests" ? "rate" : "lease"}:${policy.name.length}:${policy.name}${key}`;

  return {
    async take(checks, { probe, leaseId }) {
      const values: (string | number)[] = [
        clock === undefined ? "" : Math.floor(clock.now() * 1_000),
        leaseId ?? "",
        probe ? 1 : 0,
        margin,
      ];
      for (const check of checks) values.push(...argumentsOf(check));
      const reply = await connection.evaluate(takeScript, checks.map(keyOf), values, callOptions);
      return readOutcome(reply, checks, probe);
    },
    async release(leaseId, checks) {
      const leases = checks.filter(({ policy }) => policy.unit === "concurrent-requests");
      if (leases.length > 0) await connection.evaluate(releaseScript, leases.map(keyOf), [leaseId], callOptions);
    },
  };
}

function argumentsOf({ policy, cost }: RateLimitCheck): readonly (string | number)[] {
  const isEnforced = policy.mode === "enforce" ? 1 : 0;
  if (policy.unit === "concurrent-requests") return [policy.unit, isEnforced, policy.limit, policy.windowMs * 1_000];
  const intervalUs = intervalUsOf(policy);
  const burstUs = intervalUs * policy.burst;
  // Whatever costs more than the burst never passes; the product could be beyond what is exact.
  return [policy.unit, isEnforced, burstUs, cost <= policy.burst ? cost * intervalUs : burstUs + 1];
}

/** The script has decided; what it decided follows from what it knew. */
function readOutcome(reply: ValkeyReply, checks: readonly RateLimitCheck[], probe: boolean): RateLimitOutcome {
  if (!Array.isArray(reply) || reply.length !== checks.length + 1)
    throw new Error("the script gave no answer of its own");
  const numbers: readonly number[] = reply.map(Number);
  if (!numbers.every(Number.isFinite)) throw new Error("the script gave something else than numbers");
  const [nowUs = 0, ...states] = numbers;
  return decideRateLimits(checks, Float64Array.from(states), nowUs, probe);
}

/**
 * Decides all checks of a request in one step, by the server's own clock. It does what `decideRateLimits` does, with the same whole
 * microseconds: numbers of Lua are float64, and everything here stays below 2^53.
 *
 * KEYS: one for each check. ARGV: the time in microseconds (empty: the server's), the lease id, `1` for a probe, milliseconds that a
 * key outlives its use; then four for each check: unit, `1` when it is enforced, burst and cost in microseconds; for
 * concurrent requests limit and window in microseconds.
 *
 * Answers the time, then for each check what was known of it: an arrival time, or the number of others' leases.
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
