/** Summaries of slices: figures of each server, and ratios to another server in the same round, where both met the same machine. */
import type { Table } from "../harness/result.ts";
import { format, type Summary, summarise } from "../harness/statistics.ts";
import { loadTitles, type LoadName } from "./loads.ts";
import type { Measured, MeasuredLoad } from "./measure-rounds.ts";
import { cpuUsEach, foreignShare, perSecond, type Slice } from "./slice.ts";

/** A figure of a slice. */
export type Figure = (slice: Slice) => number;

/** A figure of a server over the rounds; `null` if every slice was dropped. */
export function summariseFigure(slices: readonly Measured[], system: string, figure: Figure): Summary | null {
  const figures = slices.filter((measured) => measured.system === system).map(({ slice }) => figure(slice));
  return figures.length === 0 ? null : summarise(figures);
}

/** The ratio of a server's figure to another server's in the same round; `null` if no round has both. */
export function summariseRatio(
  slices: readonly Measured[],
  system: string,
  base: string,
  figure: Figure,
): Summary | null {
  return summarisePairs(slices, system, base, (slice, other) => figure(slice) / figure(other));
}

/** The same for the difference. */
export function summariseDifference(
  slices: readonly Measured[],
  system: string,
  base: string,
  figure: Figure,
): Summary | null {
  return summarisePairs(slices, system, base, (slice, other) => figure(slice) - figure(other));
}

function summarisePairs(
  slices: readonly Measured[],
  system: string,
  base: string,
  compare: (slice: Slice, other: Slice) => number,
): Summary | null {
  const compared = slices.flatMap((measured) => {
    if (measured.system !== system) return [];
    const other = slices.find((candidate) => candidate.system === base && candidate.round === measured.round);
    return other === undefined ? [] : [compare(measured.slice, other.slice)];
  });
  return compared.length === 0 ? null : summarise(compared);
}

/** The table of a load, ratios first where nginx was measured; `names` has the servers in the order of the rows. */
export function tableOfLoad(
  load: LoadName,
  { slices, dropped }: MeasuredLoad,
  names: ReadonlyMap<string, string>,
  setup: string,
): Table {
  const columns: readonly (readonly [string, (system: string) => string])[] = [
    ["x nginx", (system) => format(summariseRatio(slices, system, "nginx", perSecond), 2)],
    ["CPU us a request", (system) => format(summariseFigure(slices, system, cpuUsEach), 1)],
    [
      "p99 ms",
      (system) =>
        format(
          summariseFigure(slices, system, ({ p99Us }) => p99Us / 1_000),
          2,
        ),
    ],
    ["requests/s", (system) => format(summariseFigure(slices, system, perSecond), 0)],
    [
      "slices (dropped)",
      (system) => `${slices.filter((slice) => slice.system === system).length} (${dropped.get(system) ?? 0})`,
    ],
  ];
  const shown = names.has("nginx") ? columns : columns.slice(1);
  return {
    caption: `**${loadTitles[load]}**; ${setup}. Median (smallest to largest slice).`,
    columns: ["server", ...shown.map(([title]) => title)],
    rows: [...names].map(([system, name]) => [name, ...shown.map(([, cell]) => cell(system))]),
  };
}

/** Every slice for other programs, in a few figures: requests/s, CPU us of a request, p50 and p99 in us, and the shares of the cores that others used. */
export function dataOf({ slices, dropped }: MeasuredLoad): object {
  const round = (value: number): number => Math.round(value * 100) / 100;
  const figures = slices.map(({ system, round: ofRound, slice }) => {
    const { p50Us, p99Us, gatewayCore, loadCore } = slice;
    const others = [foreignShare(gatewayCore), foreignShare(loadCore)];
    return [system, ofRound, ...[perSecond(slice), cpuUsEach(slice), p50Us, p99Us, ...others].map(round)].join(" ");
  });
  return { slices: figures, dropped: Object.fromEntries(dropped) };
}
