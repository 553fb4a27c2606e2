/** Composes the observer of requests: steps for the metrics, and spans for an OpenTelemetry receiver. */
import { randomBytes } from "node:crypto";
import { random, systemClock } from "@letta-environments/platform/node";
import type { OtlpPush } from "../../../adapters/otlp.ts";
import type { OtlpResource } from "../../../metrics/otlp.ts";
import type { OtlpSettings } from "../../../metrics/settings.ts";
import type { WrapApiStep } from "../../../request-trace.ts";
import { createObserver } from "../../../tracing/observer.ts";
import { createSpanBuffer, toOtlpSpans } from "../../../tracing/spans.ts";

/** How long spans wait for a push, in milliseconds. */
export const spanIntervalMs = 5_000;

/** The observer of a process. */
export interface ProcessTracing {
  readonly wrapStep: WrapApiStep;
  /** Queues the spans that wait for a push. */
  flush(): void;
}

/** Composes the observer. Without `otlp` it measures steps only. */
export function composeTracing(
  otlp: { readonly settings: OtlpSettings; readonly resource: OtlpResource; readonly receiver: OtlpPush } | null,
  onStep: (step: string, durationMs: number) => void,
  onDropped: (spans: number) => void,
): ProcessTracing {
  const buffer = createSpanBuffer(onDropped);
  return {
    wrapStep: createObserver({
      clock: systemClock,
      random,
      randomHex: (bytes) => randomBytes(bytes).toString("hex"),
      sampleRatio: otlp?.settings.sampleRatio ?? null,
      onStep,
      onSpans: buffer.add,
    }),
    flush() {
      const spans = buffer.take();
      if (otlp === null || spans.length === 0) return;
      otlp.receiver.push("traces", { body: toOtlpSpans(spans, otlp.resource), items: spans.length });
    },
  };
}
