/** Counts what is refused under overload, for the log and the metrics. */
import type { Clock } from "@letta-environments/platform";

/** Requests and connections that were refused in the last second. */
export interface OverloadReport {
  readonly refusedRequests: number;
  readonly closedConnections: number;
  readonly inFlight: number;
}

/** Receives reports, at most one per second. */
export type OnOverload = (report: OverloadReport) => void;

/** The shortest time between two reports, in milliseconds. */
const reportIntervalMs = 1_000;

/**
 * Returns a function that counts a refusal.
 *
 * @param inFlight returns the number of requests in progress
 */
export function createRefusalCount(
  { setTimer }: Pick<Clock, "setTimer">,
  inFlight: () => number,
  onOverload: OnOverload,
): (kind: "refusedRequests" | "closedConnections") => void {
  let counts = { refusedRequests: 0, closedConnections: 0 };
  let isReporting = false;
  return (kind) => {
    counts[kind] += 1;
    if (isReporting) return;
    isReporting = true;
    setTimer(reportIntervalMs, () => {
      onOverload({ ...counts, inFlight: inFlight() });
      isReporting = false;
      counts = { refusedRequests: 0, closedConnections: 0 };
    });
  };
}
