/** The charts of the overview. Their library is loaded with this file, when the view is first shown. */
import { ticks } from "d3-array";
import { line } from "d3-shape";
import type { JSX, TargetedPointerEvent } from "preact";
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
  const index =
    pointed === null ? times.length - 1 : nearestIndex(times, (times.at(-1) ?? 0) - (1 - pointed) * hourSeconds);
  const time = times[index] ?? 0;
  return (
    <section class="card chart" aria-label={`${title}: ${describe(chart)}`}>
      <h2>
        {title} <span class="hint">{unit}</span>
      </h2>
      <Plot chart={chart} marked={pointed === null ? null : time} onPoint={setPointed} />
      <p class="legend" aria-hidden="true">
        {lines.map(({ label, values }, place) => (
          <span key={label} class={`line-${place}`}>
            {label} {valueText(values[index] ?? null)}
          </span>
        ))}
        {pointed !== null && <span class="at">at {timeText(time)}</span>}
      </p>
    </section>
  );
}

interface PlotProps {
  readonly chart: Chart;
  /** The time of the vertical line, in epoch seconds; `null` for none. */
  readonly marked: number | null;
  /** Receives the position of the pointer as a fraction of the width; `null` when a mouse leaves. A tap is kept. */
  readonly onPoint: (share: number | null) => void;
}

/** Lines over the last hour. The picture is stretched to its box, and the labels of the axes are text around it. */
function Plot({ chart, marked, onPoint }: PlotProps): JSX.Element {
  const { first, last, highest, paths, dots, values } = useMemo(() => shapesOf(chart), [chart]);
  const lastQuarter = last - (last % quarterSeconds);
  const times = [0, 1, 2, 3].map((quarters) => lastQuarter - quarters * quarterSeconds);
  const point = ({ currentTarget, offsetX }: TargetedPointerEvent<SVGSVGElement>): void =>
    onPoint(offsetX / currentTarget.clientWidth);
  return (
    <div class="plot" aria-hidden="true">
      {values.map((value) => (
        <span key={value} class="value" style={{ bottom: percent(value / highest) }}>
          {valueText(value, "compact")}
        </span>
      ))}
      <svg
        viewBox={`0 0 ${hourSeconds} 1`}
        preserveAspectRatio="none"
        onPointerDown={point}
        onPointerMove={point}
        onPointerLeave={({ pointerType }) => pointerType === "mouse" && onPoint(null)}
      >
        <path class="grid" d={values.map((value) => `M0,${1 - value / highest}H${hourSeconds}`).join("")} />
        {paths.map((path, place) => (
          <path key={place} class={`line-${place}`} d={path} />
        ))}
        {dots.map((path, place) => (
          <path key={place} class={`dots line-${place}`} d={path} />
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

/** Scales a chart to a box that is one hour wide and 1 high. Values without neighbours are dots, since no line shows them. */
function shapesOf({ times, lines }: Chart) {
  const last = times.at(-1) ?? 0;
  const first = last - hourSeconds;
  const highest = 1.1 * Math.max(1, ...lines.flatMap(({ values }) => values.map((value) => value ?? 0)));
  const path = line<number | null>(
    (_value, index) => (times[index] ?? last) - first,
    (value) => 1 - (value ?? 0) / highest,
  ).defined((value, index) => value !== null && (times[index] ?? last) >= first);
  const isAlone = (values: Chart["lines"][number]["values"], index: number): boolean =>
    (values[index - 1] ?? null) === null && (values[index + 1] ?? null) === null;
  return {
    ...{ first, last, highest },
    paths: lines.map(({ values }) => path(values) ?? ""),
    dots: lines.map(({ values }) => path(values.map((value, index) => (isAlone(values, index) ? value : null))) ?? ""),
    values: ticks(0, highest, valueTicks),
  };
}

/** The index of the time that is nearest to another one. */
function nearestIndex(times: readonly number[], wanted: number): number {
  const distance = (index: number): number => Math.abs((times[index] ?? Infinity) - wanted);
  return times.reduce((nearest, _time, index) => (distance(index) < distance(nearest) ? index : nearest), 0);
}

/** The latest values, for people who do not see the chart. */
function describe({ lines, unit }: Chart): string {
  return lines
    .map(({ label, values }) => [label, values.at(-1) ?? null] as const)
    .map(([label, value]) => (value === null ? `${label} unknown` : `${label} ${valueText(value)} ${unit}`))
    .join(", ");
}

function percent(share: number): string {
  return `${100 * share}%`;
}

function valueText(value: number | null, notation: "standard" | "compact" = "standard"): string {
  return value === null
    ? "–"
    : value.toLocaleString(undefined, { notation, maximumFractionDigits: value < 10 ? 1 : 0 });
}

function timeText(time: number): string {
  return new Date(time * 1_000).toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" });
}
