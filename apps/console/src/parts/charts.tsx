/** The charts of the overview. The library is loaded with this file, when the view is first shown. */
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import UPlot from "uplot";
import { type Chart, chartsOf, type OverviewBody } from "../model/overview.ts";

const height = 160;
const hourSeconds = 3_600;
/** Fewer buckets than this are drawn as points. */
const fewBuckets = 3;

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

function ChartCard({ chart }: { chart: Chart }): JSX.Element {
  const place = useRef<HTMLDivElement>(null);
  const drawn = useRef<UPlot | null>(null);
  useEffect(() => {
    const element = place.current;
    if (element === null) return undefined;
    const plot = new UPlot(optionsOf(chart, element.clientWidth), dataOf(chart), element);
    drawn.current = plot;
    const observer = new ResizeObserver(() => plot.setSize({ width: element.clientWidth, height }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      plot.destroy();
    };
  }, []);
  useEffect(() => drawn.current?.setData(dataOf(chart)), [chart]);
  return (
    <section class="card chart" aria-label={`${chart.title}: ${describe(chart)}`}>
      <h2>
        {chart.title} <span class="hint">{chart.unit}</span>
      </h2>
      <div ref={place} aria-hidden="true" />
    </section>
  );
}

/** The latest values, for people who do not see the chart. */
function describe({ lines, unit }: Chart): string {
  return lines.map(({ label, values }) => `${label} ${Math.round(values.at(-1) ?? 0)} ${unit}`).join(", ");
}

function dataOf({ times, lines }: Chart): UPlot.AlignedData {
  return [[...times], ...lines.map(({ values }) => [...values])] as UPlot.AlignedData;
}

function optionsOf({ lines, times }: Chart, width: number): UPlot.Options {
  const style = getComputedStyle(document.documentElement);
  const color = (name: string): string => style.getPropertyValue(name).trim();
  const axis: UPlot.Axis = {
    stroke: color("--muted"),
    grid: { stroke: color("--line"), width: 1 },
    ticks: { stroke: color("--line"), width: 1 },
    font: "11px system-ui",
  };
  const strokes = ["--accent", "--warn", "--bad"];
  return {
    width,
    height,
    legend: { show: lines.length > 1, live: false },
    cursor: { show: false },
    scales: {
      x: { range: ({ data: [all] }) => [(all.at(-1) ?? 0) - hourSeconds, all.at(-1) ?? 0] },
      y: { range: (_plot, _low, high) => [0, Math.max(1, (high ?? 0) * 1.1)] },
    },
    axes: [axis, { ...axis, size: 44 }],
    series: [
      {},
      ...lines.map(({ label }, index): UPlot.Series => ({
        label,
        stroke: color(strokes[index] ?? "--accent"),
        width: 1.5,
        points: { show: times.length < fewBuckets },
      })),
    ],
  };
}
