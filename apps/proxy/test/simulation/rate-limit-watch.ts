/**
 * Checks from outside that no rate limit is exceeded: in every interval, the requests that the gateway admitted are at most the
 * burst and what the rate adds in that time.
 */
import type { PlainResponse } from "@letta-environments/schema";
import type { RateLimitsFile } from "../../src/config/file.ts";

/** See the description of this file. */
export interface RateLimitWatch {
  /** Notes the response to a request of a key that began at this monotonic time. Returns a violation, or `null`. */
  note(
    keyName: string,
    isSend: boolean,
    beganAtMs: number,
    response: Pick<PlainResponse, "status">,
    code: string | null,
  ): string | null;
  /** Counters in memory are gone. */
  forget(): void;
  /** The store failed: until the process ends, requests may be counted in a second place. */
  degrade(): void;
}

/** Limits that a simulation reaches now and then. */
export const simulatedRateLimits: RateLimitsFile = {
  policies: {
    requests: {
      per: ["key"],
      limit: 600,
      windowMs: 60_000,
      burst: 30,
      routes: ["listEnvironments", "retrieveEnvironment", "sendMessage"],
    },
    sends: { per: ["key"], limit: 300, windowMs: 60_000, burst: 12, routes: ["sendMessage"] },
    running: { per: ["key"], unit: "concurrent-requests", limit: 12, windowMs: 60_000, routes: ["sendMessage"] },
  },
};

const policies = [
  { name: "requests", perMs: 600 / 60_000, burst: 30, counts: () => true },
  { name: "sends", perMs: 300 / 60_000, burst: 12, counts: (isSend: boolean) => isSend },
] as const;

/** How much later than it began a request may be counted, in milliseconds: its key is looked up first, in a slow store. */
const jitterMs = 1_000;

/** Codes of responses to requests that no limit counted. */
const uncounted: ReadonlySet<string> = new Set([
  "environment_not_found",
  "rate_limited",
  "limits_unavailable",
  "key_store_unavailable",
  "missing_key",
  "invalid_key",
  "insufficient_scope",
  "internal_error",
]);

/** Creates a {@link RateLimitWatch} for {@link simulatedRateLimits}. */
export function createRateLimitWatch(): RateLimitWatch {
  let admitted = new Map<string, number[]>();
  let counters = 1;
  return {
    note(keyName, isSend, beganAtMs, { status }, code) {
      if (status === 499 || (code !== null && uncounted.has(code))) return null;
      for (const { name, perMs, burst, counts } of policies) {
        if (!counts(isSend)) continue;
        const key = `${name} ${keyName}`;
        const times = admitted.get(key) ?? [];
        admitted.set(key, times);
        times.push(beganAtMs);
        times.sort((left, right) => left - right);
        const lastMs = times.at(-1) ?? beganAtMs;
        for (const [index, fromMs] of times.entries()) {
          const count = times.length - index;
          if (count > counters * (burst + (lastMs - fromMs + jitterMs) * perMs) + 1) {
            return `${keyName}: ${count} requests in ${lastMs - fromMs} ms exceed the limit "${name}"`;
          }
        }
        if (times.length > 200) times.splice(0, 100);
      }
      return null;
    },
    forget() {
      admitted = new Map();
      counters = 1;
    },
    degrade() {
      counters = 2;
    },
  };
}
