/** Measures the time that a gateway adds to a request when there is one at a time. The load has one connection, and the origin alone is measured too. */
import type { Table } from "../harness/result.ts";
import type { LoadName } from "./loads.ts";
import type { MeasuredLoad } from "./measure-rounds.ts";
import { format } from "../harness/statistics.ts";
import { summariseDifference } from "./summary.ts";

/** The loads whose latency is measured. */
export const latencyLoads: readonly LoadName[] = ["hit-one", "miss-one", "send"];
/** The origin, as its own server. */
export const originId = "origin";

/** The table of added times; `names` has the servers in the order of the rows. */
export function tableOfLatency(
  measured: ReadonlyMap<LoadName, MeasuredLoad>,
  names: ReadonlyMap<string, string>,
  rounds: number,
): Table {
  const loads = [...measured.keys()];
  const added = (system: string, load: LoadName, percentile: "p50Us" | "p99Us"): string =>
    format(
      summariseDifference(measured.get(load)?.slices ?? [], system, originId, (slice) => slice[percentile]),
      0,
    );
  return {
    caption:
      `**Added latency**, one request at a time: microseconds added to the time of the origin alone in the same round, ${rounds} rounds. ` +
      "Median (smallest to largest).",
    columns: ["server", ...loads.flatMap((load) => [`${load} p50`, `${load} p99`])],
    rows: [...names].map(([system, name]) => [
      name,
      ...loads.flatMap((load) => [added(system, load, "p50Us"), added(system, load, "p99Us")]),
    ]),
  };
}
