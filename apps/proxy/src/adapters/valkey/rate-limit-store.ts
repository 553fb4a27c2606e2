/**
 * Counts rate limits in Valkey or Redis, shared by every process that uses the server. Each request is one call of a script,
 * which runs atomically on the server.
 *
 * Times are the server's wall time (`TIME`), so the clocks of the gateways do not matter. If the server's clock is set back, stored
 * times are cut as in SQLite: an arrival time to one whole burst from now, a lease to one window from now.
 */
import type { Clock, ValkeyConnection, ValkeyReply } from "@letta-environments/platform";
import { decideRateLimits, intervalUsOf } from "../../rate-limit/decide.ts";
import type { RateLimitCheck } from "../../rate-limit/policy.ts";
import type { RateLimitOutcome, RateLimitStore } from "../../rate-limit/store.ts";

export interface ValkeyRateLimitStoreOptions {
  /**
   * Separates deployments that share a server. Default: `letta-proxy`. It is the hash tag of every key, because the keys of one
   * script call must be in one slot of a cluster.
   */
  readonly prefix?: string;
  /** For tests: replaces the server's clock. */
  readonly clock?: Clock;
}

/** How long a key outlives its use, in milliseconds. A test clock differs from the server's, so its keys live longer. */
const marginMs = 1_000;
const marginUnderTestClockMs = 3_600_000;

/** Creates a store on a connection. `take` rejects if the server fails or returns something unexpected. */
export function createValkeyRateLimitStore(
  connection: ValkeyConnection,
  { prefix = "letta-proxy", clock }: ValkeyRateLimitStoreOptions = {},
): RateLimitStore {
  const margin = clock === undefined ? marginMs : marginUnderTestClockMs;
  const keyOf = ({ policy, key }: RateLimitCheck): string =>
    `{${prefix}}:limit:${policy.unit === "requests" ? "rate" : "lease"}:${policy.name.length}:${policy.name}${key}`;

  return {
    async take(checks, { probe, leaseId }) {
      const nowUs = clock === undefined ? "" : Math.floor(clock.now() * 1_000);
      const values: (string | number)[] = [nowUs, leaseId ?? "", probe ? 1 : 0, margin];
      for (const check of checks) values.push(...argumentsOf(check));
      const reply = await connection.evaluate(takeScript, checks.map(keyOf), values);
      return readOutcome(reply, checks, probe);
    },
    async release(leaseId, checks) {
      const leases = checks.filter(({ policy }) => policy.unit === "concurrent-requests");
      if (leases.length > 0) await connection.evaluate(releaseScript, leases.map(keyOf), [leaseId]);
    },
  };
}

function argumentsOf({ policy, cost }: RateLimitCheck): readonly (string | number)[] {
  const isEnforced = policy.mode === "enforce" ? 1 : 0;
  if (policy.unit === "concurrent-requests") return [policy.unit, isEnforced, policy.limit, policy.windowMs * 1_000];
  const intervalUs = intervalUsOf(policy);
  const burstUs = intervalUs * policy.burst;
  // A cost above the burst is never allowed; its exact product could exceed what float64 represents.
  return [policy.unit, isEnforced, burstUs, cost <= policy.burst ? cost * intervalUs : burstUs + 1];
}

/** Repeats the script's decision from the states that it returned. */
function readOutcome(reply: ValkeyReply, checks: readonly RateLimitCheck[], probe: boolean): RateLimitOutcome {
  if (!Array.isArray(reply) || reply.length !== checks.length + 1)
    throw new Error("the rate-limit script returned an unexpected reply");
  const numbers: readonly number[] = reply.map(Number);
  if (!numbers.every(Number.isFinite)) throw new Error("the rate-limit script returned something other than numbers");
  const [nowUs = 0, ...states] = numbers;
  return decideRateLimits(checks, Float64Array.from(states), nowUs, probe);
}

/**
 * Decides and charges all checks of a request. It does the same as `decideRateLimits`, in the same whole microseconds: numbers in
 * Lua are float64, and all values stay below 2^53.
 *
 * KEYS: one for each check. ARGV: the time in microseconds (empty: the server's), the lease id, `1` for a probe, milliseconds that a
 * key outlives its use; then four for each check: unit, `1` if it is enforced, burst and cost in microseconds, or for concurrent
 * requests limit and window in microseconds.
 *
 * Returns the time, then for each check the state before: an arrival time, or the number of other requests' leases.
 */
const takeScript = `
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
for i, key in ipairs(KEYS) do
  local at = 4 * i
  if ARGV[at + 1] == 'requests' then
    local burst, cost = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
    local keep = math.min(states[i], now + burst)
    if not probe and admitted and allowed[i] and cost > 0 then keep = kept[i] end
    if keep ~= states[i] then
      redis.call('SET', key, whole(keep), 'PX', whole(math.ceil((keep - now) / 1000) + margin))
    end
  elseif not probe then
    local latest = whole(kept[i])
    redis.call('ZREMRANGEBYSCORE', key, '-inf', whole(now))
    for _, id in ipairs(redis.call('ZRANGEBYSCORE', key, '(' .. latest, '+inf')) do redis.call('ZADD', key, latest, id) end
    if admitted and allowed[i] then
      redis.call('ZADD', key, latest, lease)
      redis.call('PEXPIRE', key, whole(math.ceil((kept[i] - now) / 1000) + margin))
    end
  end
end
table.insert(states, 1, now)
return states
`;

/** Releases leases. KEYS: one for each policy; ARGV: the lease id. Returns how many were released. */
export const releaseScript = `
local count = 0
for _, key in ipairs(KEYS) do count = count + redis.call('ZREM', key, ARGV[1]) end
return count
`;
