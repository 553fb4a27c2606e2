/** The charts of the overview. Their library is loaded with this file, when the view is first shown. */
import { ticks } from "d3-array";
import { line } from "d3-shape";
import type { JSX } from "preact";
import { useMemo, useState } from "preact/hooks";
import { type Chart, chartsOf, type OverviewBody } from "../model/overview.ts";

const hourSeconds = 3_600;
const quarterSeconds = 900;
const valueTicks = 4;

/** All charts. */
export function Charts({ body }: { body: OverviewBody }): JSX.Element {
  return (
    <div class="charts">
      {chartsOf(body).map((chart) => (
        <ChartCard key={chart.title} chart={chart} />
      ))}
    </div>
  );
}

/** A chart with its title. The legend shows the values under the pointer, otherwise the latest ones. */
function ChartCard({ chart }: { chart: Chart }): JSX.Element {
  const [pointed, setPointed] = useState<number | null>(null);
  const { title, unit, times, lines } = chart;
  const index = pointed === null ? times.length - 1 : nearestIndex(times, pointed);
  return (
    <section class="card chart" aria-label={`${title}: ${describe(chart)}`}>
      <h2>
        {title} <span class="hint">{unit}</span>
      </h2>
      <Plot chart={chart} marked={pointed === null ? null : (times[index] ?? null)} onPoint={setPointed} />
      <p class="legend" aria-hidden="true">
        {lines.map(({ label, values }, place) => (
          <span key={label} class={`line-${place}`}>
            {label} {valueText(values[index] ?? null)}
          </span>
        ))}
        {pointed !== null && <span class="at">at {timeText(times[index] ?? pointed)}</span>}
      </p>
    </section>
  );
}

interface PlotProps {
  readonly chart: Chart;
  /** The time of the vertical line, in epoch seconds; `null` for none. */
  readonly marked: number | null;
  /** Receives the time under the pointer; `null` when the pointer leaves. */
  readonly onPoint: (time: number | null) => void;
}

/** Lines over the last hour. The picture is stretched to its place, and the labels of the axes are text around it. */
function Plot({ chart, marked, onPoint }: PlotProps): JSX.Element {
  const { first, last, highest, paths, values } = useMemo(() => shapesOf(chart), [chart]);
  const lastQuarter = last - (last % quarterSeconds);
  const times = [0, 1, 2, 3].map((quarters) => lastQuarter - quarters * quarterSeconds);
  return (
    <div class="plot" aria-hidden="true">
      {values.map((value) => (
        <span key={value} class="value" style={{ bottom: percent(value / highest) }}>
          {valueText(value)}
        </span>
      ))}
      <svg
        viewBox={`0 0 ${hourSeconds} 1`}
        preserveAspectRatio="none"
        onPointerMove={({ currentTarget, offsetX }) =>
          onPoint(first + (offsetX / currentTarget.clientWidth) * hourSeconds)
        }
        onPointerLeave={() => onPoint(null)}
      >
        <path class="grid" d={values.map((value) => `M0,${1 - value / highest}H${hourSeconds}`).join("")} />
        {paths.map((path, place) => (
          <path key={place} class={`line-${place}`} d={path} />
        ))}
        {marked !== null && <path class="marker" d={`M${marked - first},0V1`} />}
      </svg>
      {times.map((time) => (
        <span key={time} class="time" style={{ left: percent((time - first) / hourSeconds) }}>
          {timeText(time)}
        </span>
      ))}
    </div>
  );
}

/** Scales a chart to a box of an hour by 1. A value without neighbours is a dot. */
function shapesOf({ times, lines }: Chart) {
  const last = times.at(-1) ?? 0;
  const first = last - hourSeconds;
  const highest = 1.1 * Math.max(1, ...lines.flatMap(({ values }) => values.map((value) => value ?? 0)));
  const path = line<number | null>(
    (_value, index) => (times[index] ?? last) - first,
    (value) => 1 - (value ?? 0) / highest,
  ).defined((value, index) => value !== null && (times[index] ?? last) >= first);
  return {
    ...{ first, last, highest },
    paths: lines.map(({ values }) => path(values) ?? ""),
    values: ticks(0, highest, valueTicks),
  };
}

/** The place of the time that is nearest to another one. */
function nearestIndex(times: readonly number[], wanted: number): number {
  const distance = (index: number): number => Math.abs((times[index] ?? Infinity) - wanted);
  return times.reduce((nearest, _time, index) => (distance(index) < distance(nearest) ? index : nearest), 0);
}

/** The latest values, for people who do not see the chart. */
function describe({ lines, unit }: Chart): string {
  return lines.map(({ label, values }) => `${label} ${Math.round(values.at(-1) ?? 0)} ${unit}`).join(", ");
}

function percent(share: number): string {
  return `${100 * share}%`;
}

function valueText(value: number | null): string {
  return value === null ? "–" : value.toLocaleString(undefined, { maximumFractionDigits: value < 10 ? 1 : 0 });
}

function timeText(time: number): string {
  return new Date(time * 1_000).toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" });
}
