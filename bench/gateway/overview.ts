/** The table of the repository's README: every gateway in one row, without spread. */
import type { Table } from "../harness/result.ts";
import type { LoadName } from "./loads.ts";
import type { MeasuredLoad } from "./measure-rounds.ts";
import { cpuUsEach, perSecond } from "./slice.ts";
import { summariseFigure, summariseRatio } from "./summary.ts";

const titles: readonly (readonly [LoadName, string])[] = [
  ["hit-one", "cached device"],
  ["hit-list", "cached list of 20"],
  ["miss-one", "device, not cached"],
  ["miss-list", "list, not cached"],
  ["send", "send"],
];

/** Requests a second as a ratio to nginx, and CPU time of a request. `names` has the gateways in the order of the rows. */
export function tableOfOverview(
  measured: ReadonlyMap<LoadName, MeasuredLoad>,
  names: ReadonlyMap<string, string>,
): Table {
  const loads = titles.filter(([load]) => measured.has(load));
  const cell = (system: string, load: LoadName): string => {
    const slices = measured.get(load)?.slices ?? [];
    const [ratio, cpuUs] = [
      summariseRatio(slices, system, "nginx", perSecond),
      summariseFigure(slices, system, cpuUsEach),
    ];
    return cpuUs === null
      ? "-"
      : `${ratio === null ? "-" : `${ratio.median.toFixed(2)} x`}, ${cpuUs.median.toFixed(0)} us`;
  };
  return {
    caption:
      "Requests a second on one core, relative to nginx in the same run, and CPU time of a request. Every server checks a key and a limit, and logs each request.",
    columns: ["gateway", ...loads.map(([, title]) => title)],
    rows: [...names].map(([system, name]) => [name, ...loads.map(([load]) => cell(system, load))]),
  };
}
