/** The last events of a simulation, for the report of a failure, and a digest of all of them, for the comparison of two runs. */
import { createHash } from "node:crypto";

/** See {@link createTrace}. */
export interface Trace {
  record(event: string): void;
  /** The last events, the oldest first. */
  last(count: number): readonly string[];
  /** SHA-256, in hex, of every event so far. */
  digest(): string;
}

/** Maximum number of events that are kept. */
const maxEvents = 1_000;

/** Creates a {@link Trace}. Each event is recorded with the time of `monotonic`, in milliseconds. */
export function createTrace({ monotonic }: { monotonic(): number }): Trace {
  let events: string[] = [];
  const hash = createHash("sha256");
  return {
    record(event) {
      const line = `${(monotonic() / 1_000).toFixed(3).padStart(9)} s  ${event}`;
      hash.update(`${line}\n`);
      events.push(line);
      if (events.length >= 2 * maxEvents) events = events.slice(-maxEvents);
    },
    last: (count) => events.slice(-Math.min(count, maxEvents)),
    digest: () => hash.copy().digest("hex"),
  };
}
