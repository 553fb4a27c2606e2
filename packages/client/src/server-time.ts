import type { Clock } from "./clock.ts";

/**
 * Epoch milliseconds by the server's clock, as far as its answer tells (`Date`, which a browser may hide): whether a heartbeat is
 * recent must not depend on this machine's clock being right.
 */
export function serverTimeMs(clock: Clock, { headers }: Response): number {
  return Date.parse(headers.get("date") ?? "") || clock.now();
}
