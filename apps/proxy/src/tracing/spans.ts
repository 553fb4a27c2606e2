/** Spans of sampled requests, and their form in the JSON encoding of the OpenTelemetry protocol (`ExportTraceServiceRequest`). */
import { type OtlpResource, otlpScope, toAttributes, toNanoseconds } from "../metrics/otlp.ts";

/** The subject of a span: a request that was received, a call to the upstream, or a step in between. */
export type SpanKind = "server" | "client" | "internal";

/** A span that has ended. Times are epoch milliseconds with decimals. */
export interface Span {
  readonly traceId: string;
  readonly spanId: string;
  /** `null` for the first span of a trace. */
  readonly parentId: string | null;
  readonly kind: SpanKind;
  readonly name: string;
  readonly startedAt: number;
  readonly endedAt: number;
  readonly attributes: Readonly<Record<string, string | number>>;
  /** Whether the gateway or its upstream failed. */
  readonly isError: boolean;
}

const kinds: Readonly<Record<SpanKind, number>> = { internal: 1, server: 2, client: 3 };
const errorStatus = 2;

/** Returns the body of a push. */
export function toOtlpSpans(spans: readonly Span[], resource: OtlpResource): object {
  return {
    resourceSpans: [
      {
        resource: { attributes: toAttributes(resource) },
        scopeSpans: [{ scope: otlpScope, spans: spans.map(toOtlpSpan) }],
      },
    ],
  };
}

function toOtlpSpan({ traceId, spanId, parentId, kind, name, startedAt, endedAt, attributes, isError }: Span): object {
  return {
    traceId,
    spanId,
    ...(parentId !== null && { parentSpanId: parentId }),
    name,
    kind: kinds[kind],
    startTimeUnixNano: toNanoseconds(startedAt),
    endTimeUnixNano: toNanoseconds(endedAt),
    attributes: toAttributes(attributes),
    status: isError ? { code: errorStatus } : {},
  };
}

/** The largest number of spans that wait for a push. Any more are dropped. */
export const maxWaitingSpans = 4_096;

/** Spans that wait for a push. */
export interface SpanBuffer {
  add(spans: readonly Span[]): void;
  /** Removes and returns the waiting spans. */
  take(): readonly Span[];
}

/** Creates a {@link SpanBuffer}. `onDropped` receives the number of spans that did not fit. */
export function createSpanBuffer(onDropped: (spans: number) => void): SpanBuffer {
  let waiting: Span[] = [];
  return {
    add(spans) {
      if (waiting.length + spans.length <= maxWaitingSpans) waiting.push(...spans);
      else onDropped(spans.length);
    },
    take() {
      const taken = waiting;
      waiting = [];
      return taken;
    },
  };
}
