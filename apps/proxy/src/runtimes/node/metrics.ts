/** Composes the metrics of a process: the table, the code that counts in it, its endpoints, and the pushes to an OpenTelemetry receiver. */
import { randomBytes } from "node:crypto";
import process from "node:process";
import { clearInterval, setInterval } from "node:timers";
import { createAnchoredNow } from "@letta-environments/platform";
import { random, randomId, systemClock } from "@letta-environments/platform/node";
import type { LogEvent } from "../../adapters/log-event.ts";
import { createOtlpPush, type OtlpEvent } from "../../adapters/otlp.ts";
import type { OptionalAdminEndpoint } from "../../admin/endpoints.ts";
import type { Settings } from "../../config/settings.ts";
import { gauges, metrics, type MetricDefinition } from "../../metrics/definitions.ts";
import { createMetricsEndpoints } from "../../metrics/endpoints.ts";
import { createOpenCircuits, observeLimiter, observeUpstream } from "../../metrics/observers.ts";
import { type OtlpResource, toOtlpMetrics } from "../../metrics/otlp.ts";
import { createOverviewHistory, overviewBucketMs, sampleOverview } from "../../metrics/overview.ts";
import { createRecorder } from "../../metrics/recorder.ts";
import { createMetricTable, type MetricReading } from "../../metrics/table.ts";
import type { OtlpSettings } from "../../metrics/settings.ts";
import type { UpstreamFetch } from "../../ports.ts";
import type { RateLimiter } from "../../rate-limit/limiter.ts";
import type { WrapApiStep } from "../../request-exchange.ts";
import { createObserver } from "../../tracing/observer.ts";
import { createSpanBuffer, toOtlpSpans } from "../../tracing/spans.ts";
import { version } from "../../version.ts";

/** How long spans wait for a push, in milliseconds. */
const spanIntervalMs = 5_000;

/** The numbers of the embedded environment server that are read on request. */
export interface EmbeddedCounts {
  readonly connectedDevices: number;
  readonly viewers: number;
  /** All rows of devices, connected or not. */
  readonly devices: number;
  readonly pendingApprovals: number;
}

/** The part of the metrics that the pipeline uses. */
export interface PipelineMetrics {
  readonly adminEndpoints: readonly OptionalAdminEndpoint[];
  /** Measures the steps of the pipeline. */
  readonly wrapStep: WrapApiStep;
  observeLimiter(limiter: RateLimiter): RateLimiter;
  observeUpstream(fetchUpstream: UpstreamFetch): UpstreamFetch;
}

/** The metrics of a process. */
export interface ProcessMetrics extends PipelineMetrics {
  record(event: LogEvent): void;
  /** Begins to take samples and to push. `counts` is `null` where the upstream is remote. */
  begin(counts: (() => EmbeddedCounts) | null, log: (event: LogEvent) => void): void;
  /** Pushes the last figures. */
  end(): Promise<void>;
}

/** Composes the metrics; `null` if they are off. */
export function composeMetrics(
  { metrics: settings, otlp }: Pick<Settings, "metrics" | "otlp">,
  droppedLines: () => number,
): ProcessMetrics | null {
  if (!settings.enabled) return null;
  const table = createMetricTable();
  // A receiver expects no time before the start of a counter, even after the wall clock was set back.
  const earliestNow = createAnchoredNow(systemClock);
  const startedAt = earliestNow();
  let readCounts: (() => EmbeddedCounts) | null = null;
  let report = (_event: LogEvent): void => undefined;
  const work = createRepeatedWork((cause) => report({ type: "internal_error", requestId: "-", cause }));
  const countDrops = (signal: string, items: number, reason: string): void =>
    table.add(table.series(metrics.otlpDrops, [signal, reason]), items);
  const exporter = otlp && openExporter(otlp, (event) => report(event), countDrops);
  const spans = createSpanBuffer((dropped) => countDrops("traces", dropped, "queue_full"));
  const wrapStep = createObserver({
    clock: systemClock,
    random,
    randomHex: (bytes) => randomBytes(bytes).toString("hex"),
    sampleRatio: exporter?.settings.sampleRatio ?? null,
    onStep: (step, durationMs) => table.observe(table.series(metrics.stepDurations, [step]), durationMs / 1_000),
    onSpans: spans.add,
  });
  function pushSpans(): void {
    const waiting = spans.take();
    if (exporter === null || waiting.length === 0) return;
    exporter.receiver.push("traces", { body: toOtlpSpans(waiting, exporter.resource), items: waiting.length });
  }
  function push(): void {
    if (exporter === null) return;
    const readings = read();
    const items = readings.reduce((sum, { series }) => sum + series.length, 0);
    const body = toOtlpMetrics(readings, exporter.resource, startedAt, Math.max(earliestNow(), systemClock.now()));
    exporter.receiver.push("metrics", { body, items });
  }
  const circuits = createOpenCircuits(systemClock);
  const count = createRecorder(table, { clock: systemClock, labels: new Set(settings.labels) });

  const read = (): readonly MetricReading[] => [
    ...table.read(),
    one(metrics.logDrops, droppedLines()),
    ...readGauges(readCounts?.() ?? circuits.count(), table.size, startedAt),
  ];
  const sample = () => sampleOverview(table.read(), systemClock.now(), readCounts?.().connectedDevices ?? null);
  const history = createOverviewHistory(sample());

  return {
    record(event) {
      circuits.record(event);
      count(event);
    },
    adminEndpoints: createMetricsEndpoints({
      read,
      overview: () => ({ startedAt, buckets: history.buckets(sample()) }),
      hasIdentities: settings.labels.length > 0,
    }),
    wrapStep,
    observeLimiter: (limiter) => observeLimiter(table, limiter),
    observeUpstream: (fetchUpstream) => observeUpstream(table, systemClock, fetchUpstream),
    begin(counts, log) {
      readCounts = counts;
      report = log;
      work.repeat(overviewBucketMs, () => history.add(sample()));
      if (otlp === null) return;
      work.repeat(otlp.intervalMs, push);
      work.repeat(spanIntervalMs, pushSpans);
    },
    async end() {
      work.end();
      work.attempt(push);
      pushSpans();
      await exporter?.receiver.end();
    },
  };
}

/** Repeats work until it is ended. A failure to read figures, such as without a free file descriptor, does not end the process. */
function createRepeatedWork(onFailure: (cause: unknown) => void) {
  const timers: NodeJS.Timeout[] = [];
  function attempt(run: () => void): void {
    try {
      run();
    } catch (cause) {
      onFailure(cause);
    }
  }
  return {
    attempt,
    /** Its timers do not keep the process alive. */
    repeat: (ms: number, run: () => void): void => void timers.push(setInterval(attempt, ms, run).unref()),
    end: (): void => timers.forEach(clearInterval),
  };
}

/** Opens the connection to a receiver of the OpenTelemetry protocol. */
function openExporter(
  settings: OtlpSettings,
  report: (event: OtlpEvent) => void,
  onDropped: (signal: string, items: number, reason: string) => void,
) {
  const ports = { fetchUrl: globalThis.fetch, clock: systemClock, random, report, onDropped };
  return { settings, resource: resourceOf(settings.serviceName), receiver: createOtlpPush(settings, ports) };
}

/** Describes this process to a receiver. */
function resourceOf(serviceName: string): OtlpResource {
  return {
    "service.name": serviceName,
    "service.version": version,
    "service.instance.id": randomId("instance"),
    "process.runtime.name": runtimeName(),
  };
}

function runtimeName(): string {
  if (process.versions["bun"] !== undefined) return `bun ${process.versions["bun"]}`;
  if (process.versions["deno"] !== undefined) return `deno ${process.versions["deno"]}`;
  return `node ${process.versions.node}`;
}

function one(definition: MetricDefinition, value: number, ...labels: readonly string[]): MetricReading {
  return { definition, series: [{ labels, value }] };
}

/** Reads the gauges: those of the embedded server or, with a remote one, the number of open circuits. */
function readGauges(upstream: EmbeddedCounts | number, series: number, startedAt: number): readonly MetricReading[] {
  return [
    ...(typeof upstream === "number"
      ? [one(gauges.openCircuits, upstream)]
      : [
          {
            definition: gauges.devices,
            series: [
              { labels: ["online"], value: upstream.connectedDevices },
              { labels: ["offline"], value: Math.max(0, upstream.devices - upstream.connectedDevices) },
            ],
          },
          one(gauges.viewers, upstream.viewers),
          one(gauges.pendingApprovals, upstream.pendingApprovals),
        ]),
    one(gauges.build, 1, version, runtimeName()),
    one(gauges.series, series),
    one(gauges.startTime, startedAt / 1_000),
    one(gauges.memory, process.memoryUsage.rss()),
  ];
}
