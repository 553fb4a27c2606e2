import type { Clock, ValkeyConnection, ValkeyReply } from "@letta-environments/platform";
import { decideRateLimits } from "../rate-limit/decide-rate-limits.ts";
import { intervalUsOf } from "../rate-limit/gcra.ts";
import type { RateLimitDemand } from "../rate-limit/rate-limit-policy.ts";
import type { RateLimitOutcome, RateLimitStore } from "../rate-limit/rate-limit-store.ts";
import { releaseScript, takeScript } from "./valkey-rate-limit-script.ts";

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
  const keyOf = ({ policy, key }: RateLimitDemand): string =>
    `{${prefix}}:limit:${policy.unit === "requests" ? "rate" : "lease"}:${policy.name.length}:${policy.name}${key}`;

  return {
    async take(demands, { probe, leaseId }) {
      const values: (string | number)[] = [
        clock === undefined ? "" : Math.floor(clock.now() * 1_000),
        leaseId ?? "",
        probe ? 1 : 0,
        margin,
      ];
      for (const demand of demands) values.push(...argumentsOf(demand));
      const reply = await connection.evaluate(takeScript, demands.map(keyOf), values, callOptions);
      return readOutcome(reply, demands, probe);
    },
    async release(leaseId, demands) {
      const leases = demands.filter(({ policy }) => policy.unit === "concurrent-requests");
      if (leases.length > 0) await connection.evaluate(releaseScript, leases.map(keyOf), [leaseId], callOptions);
    },
  };
}

function argumentsOf({ policy, cost }: RateLimitDemand): readonly (string | number)[] {
  const isEnforced = policy.mode === "enforce" ? 1 : 0;
  if (policy.unit === "concurrent-requests") return [policy.unit, isEnforced, policy.limit, policy.windowMs * 1_000];
  const intervalUs = intervalUsOf(policy);
  const burstUs = intervalUs * policy.burst;
  // Whatever costs more than the burst never passes; the product could be beyond what is exact.
  return [policy.unit, isEnforced, burstUs, cost <= policy.burst ? cost * intervalUs : burstUs + 1];
}

/** The script has decided; what it decided follows from what it knew. */
function readOutcome(reply: ValkeyReply, demands: readonly RateLimitDemand[], probe: boolean): RateLimitOutcome {
  if (!Array.isArray(reply) || reply.length !== demands.length + 1)
    throw new Error("the script gave no answer of its own");
  const numbers: readonly number[] = reply.map(Number);
  if (!numbers.every(Number.isFinite)) throw new Error("the script gave something else than numbers");
  const [nowUs = 0, ...states] = numbers;
  return decideRateLimits(demands, Float64Array.from(states), nowUs, probe);
}
