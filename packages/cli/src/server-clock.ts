import type { Middleware } from "@letta-environments/client";
import type { Clock } from "./clock.ts";

/** The clock of a server, learned from its answers. */
export interface ServerClock {
  /** Epoch milliseconds; by the local clock until there was an answer. */
  now(): number;
  /** Looks at every answer that passes. */
  readonly middleware: Middleware;
}

/** `Date` has whole seconds, and an answer takes its time: a smaller difference tells nothing. */
const leastDifferenceMs = 5_000;

/**
 * Follows the clock of a server by the `Date` and `Age` of its answers (RFC 9110 section 6.6.1, RFC 9111 section 5.1), so that it does not
 * depend on this machine's clock whether a device is online.
 */
export function createServerClock(clock: Pick<Clock, "now">): ServerClock {
  let differenceMs = 0;
  return {
    now: () => clock.now() + differenceMs,
    async middleware(request, next) {
      const response = await next(request);
      const { headers } = response;
      const timeMs = Date.parse(headers.get("date") ?? "") + (Number(headers.get("age")) || 0) * 1_000;
      if (!Number.isNaN(timeMs)) {
        const seenMs = timeMs - clock.now();
        differenceMs = Math.abs(seenMs) < leastDifferenceMs ? 0 : seenMs;
      }
      return response;
    },
  };
}
