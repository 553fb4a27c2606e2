/**
 * The prices of Cloudflare, in US dollars for a million beyond what the paid plan of 5 dollars a month includes, and what a million
 * requests cost. The Cache API and requests of a Worker to its upstream are free. Two prices are left out: an object costs 12.50
 * dollars for a million GB-s while it is in memory, at 128 MB (4.15 dollars for an object that is busy all month), and stored data
 * costs 0.20 dollars for a GB and month.
 */
export const prices = {
  sources: [
    "https://developers.cloudflare.com/workers/platform/pricing/",
    "https://developers.cloudflare.com/durable-objects/platform/pricing/",
  ],
  /** When the pages were read, in a stored copy. */
  readAt: "2026-11-26",
  requests: 0.3,
  cpuMs: 0.02,
  objectRequests: 0.15,
  rowsRead: 0.001,
  rowsWritten: 1,
} as const;

/** Average use of one request. */
export interface Usage {
  readonly calls: number;
  readonly cacheCalls: number;
  readonly rowsRead: number;
  readonly rowsWritten: number;
}

/** Returns what a million requests cost, in dollars. `cpuUs` is the CPU time of one request, in microseconds. */
export function costOfMillion({ calls, rowsRead, rowsWritten }: Usage, cpuUs: number): number {
  return (
    prices.requests +
    (cpuUs / 1_000) * prices.cpuMs +
    calls * prices.objectRequests +
    rowsRead * prices.rowsRead +
    rowsWritten * prices.rowsWritten
  );
}
