/**
 * Observes requests in the pipeline: measures steps for `Server-Timing` and metrics, and collects the spans of sampled requests. A request is
 * measured if its key has the scope `details`, if its spans are exported, or if none was measured for some milliseconds; the rest cost a comparison.
 *
 * Only authenticated callers decide whether their spans are exported, so that nobody without a key can fill the receiver.
 */
import { endpoints, type PlainResponse, type Principal } from "@letta-environments/schema";
import type { Clock } from "@letta-environments/platform";
import { type GatewayRequest, withHeader } from "../http/gateway-request.ts";
import { formatTraceparent, parseTraceparent } from "../http/traceparent.ts";
import { mapMaybe, type MaybePromise } from "../lib/steps.ts";
import type { StepName } from "../step-names.ts";
import type { RequestExchange, RequestObservation, RequestState, WrapApiStep } from "../request-exchange.ts";
import type { PreparedCall } from "../upstream/upstream.ts";
import type { Span } from "./spans.ts";

/** Steps that are measured, by the names that metrics, spans and `Server-Timing` show. */
const measuredSteps: Readonly<Partial<Record<StepName, MeasuredName>>> = {
  "apply the rate limits": "rate_limit",
  "validate query and body": "validate",
  "read through the cache": "cache",
};

/** The name of a measured step. `cache` contains the `upstream` of a miss. */
type MeasuredName = "authenticate" | "rate_limit" | "validate" | "cache" | "upstream";

/** At most one request in this time is measured for metrics, in milliseconds. A busy gateway measures 200 a second, a quiet one all. */
const measuredEveryMs = 5;

export interface ObserverPorts {
  readonly clock: Pick<Clock, "now" | "monotonic">;
  readonly random: () => number;
  /** Returns random bytes in hex, for ids of traces and spans. */
  readonly randomHex: (bytes: number) => string;
  /** The share of requests whose spans are exported if the caller has not decided; `null`: no spans are exported. */
  readonly sampleRatio: number | null;
  readonly onStep: (step: string, durationMs: number) => void;
  readonly onSpans: (spans: readonly Span[]) => void;
}

/** Creates a wrapper of the pipeline's steps. */
export function createObserver(ports: ObserverPorts): WrapApiStep {
  let measuredAt = Number.NEGATIVE_INFINITY;

  function begin(principal: Principal, { request, state }: RequestExchange): GatewayRequest {
    const isDue = state.startedAt - measuredAt >= measuredEveryMs;
    const parent = parseTraceparent(request.header("traceparent"));
    const { sampleRatio } = ports;
    const isSampled = sampleRatio !== null && (parent === null ? ports.random() < sampleRatio : parent.isSampled);
    const showsTiming = principal.scopes.has("details");
    if (parent === null && !isSampled && !showsTiming && !isDue) return request;
    const isMeasured = isSampled || showsTiming || isDue;
    if (isMeasured) measuredAt = state.startedAt;
    const traceId = parent?.traceId ?? (isSampled ? ports.randomHex(16) : null);
    const spanId = isSampled ? ports.randomHex(8) : null;
    state.observation = createObservation(ports, {
      state,
      request,
      traceId,
      spanId,
      parentId: parent?.spanId ?? null,
      isMeasured,
      showsTiming,
    });
    state.observation.record("authenticate", state.startedAt);
    if (traceId === null || spanId === null) return request;
    // The upstream continues the trace from the gateway's own span.
    const traceparent = formatTraceparent({ traceId, spanId, isSampled, isRandom: parent?.isRandom ?? true });
    return withHeader(request, (name) => {
      if (name === "traceparent") return traceparent;
      // A caller's `tracestate` belongs to the trace of its `traceparent` (W3C Trace Context, section 3.3.1).
      return name === "tracestate" && parent === null ? null : request.header(name);
    });
  }

  return (name, run) => {
    if (name === "authenticate") {
      return (exchange) =>
        mapMaybe(run(exchange), (added) => {
          const { principal } = exchange.state;
          if (principal === null) return added;
          const request = begin(principal, exchange);
          return request === exchange.request ? added : { ...added, request };
        });
    }
    if (name === "prepare the upstream call") {
      return (exchange) => {
        const { observation } = exchange.state;
        const prepared = run(exchange);
        if (observation === null || prepared instanceof Promise || prepared === null) return prepared;
        const { call } = prepared as { readonly call: PreparedCall };
        return {
          call: { ...call, fetch: (signal?: AbortSignal) => observation.measure("upstream", () => call.fetch(signal)) },
        };
      };
    }
    const step = measuredSteps[name];
    if (step === undefined) return run;
    return (exchange) => {
      const { observation } = exchange.state;
      return observation === null ? run(exchange) : observation.measure(step, () => run(exchange));
    };
  };
}

interface Observed {
  readonly state: RequestState;
  readonly request: GatewayRequest;
  readonly traceId: string | null;
  /** `null` if its spans are not exported. */
  readonly spanId: string | null;
  readonly parentId: string | null;
  readonly isMeasured: boolean;
  readonly showsTiming: boolean;
}

function createObservation(ports: ObserverPorts, observed: Observed): RequestObservation {
  const { clock } = ports;
  const { state, traceId, isMeasured, showsTiming } = observed;
  const steps: MeasuredStep[] = [];

  function record(name: string, startedAt: number): void {
    if (isMeasured) steps.push({ name, startedAt, endedAt: clock.monotonic() });
  }

  return {
    traceId,
    record,
    measure<Result>(name: string, run: () => MaybePromise<Result>): MaybePromise<Result> {
      const startedAt = clock.monotonic();
      const result = run();
      if (!(result instanceof Promise)) {
        record(name, startedAt);
        return result;
      }
      return result.finally(() => record(name, startedAt));
    },
    finish(response) {
      const endedAt = clock.monotonic();
      for (const { name, startedAt, endedAt: end } of steps) ports.onStep(name, end - startedAt);
      if (observed.spanId !== null) ports.onSpans(toSpans(ports, observed, response, steps, endedAt));
      if (!showsTiming) return response;
      const timing = serverTiming(steps, endedAt - state.startedAt);
      return { ...response, headers: { ...response.headers, "server-timing": timing } };
    },
  };
}

interface MeasuredStep {
  readonly name: string;
  /** Monotonic milliseconds. */
  readonly startedAt: number;
  readonly endedAt: number;
}

/** The value of `Server-Timing`: each step with its duration in milliseconds, and the total. */
function serverTiming(steps: readonly MeasuredStep[], totalMs: number): string {
  let text = "";
  for (const { name, startedAt, endedAt } of steps) text += `${name};dur=${toMicroseconds(endedAt - startedAt)}, `;
  return `${text}total;dur=${toMicroseconds(totalMs)}`;
}

/** Rounds milliseconds to microseconds. Formatting a rounded number is cheaper than `toFixed`. */
function toMicroseconds(ms: number): number {
  return Math.round(ms * 1_000) / 1_000;
}

const routes: ReadonlyMap<string, string> = new Map(
  Object.values(endpoints).map(({ operation, path }) => [operation, path]),
);

function toSpans(
  { clock, randomHex }: ObserverPorts,
  { state, request, traceId, spanId, parentId }: Observed,
  { status }: PlainResponse,
  steps: readonly MeasuredStep[],
  endedAt: number,
): readonly Span[] {
  if (traceId === null || spanId === null) return [];
  // Steps are measured in monotonic time, and spans need wall time.
  const offsetMs = clock.now() - endedAt;
  const isError = status >= 500;
  const route = routes.get(state.operation ?? "");
  const server: Span = {
    traceId,
    spanId,
    parentId,
    kind: "server",
    name: `${request.method} ${state.operation ?? "unknown"}`,
    startedAt: state.startedAt + offsetMs,
    endedAt: endedAt + offsetMs,
    attributes: {
      "http.request.method": request.method,
      ...(route !== undefined && { "http.route": route }),
      "http.response.status_code": status,
      "letta.operation": state.operation ?? "unknown",
      "letta.request_id": state.requestId,
      ...(state.cacheOutcome !== null && { "letta.cache": state.cacheOutcome }),
    },
    isError,
  };
  const children = steps.map(({ name, startedAt, endedAt: end }): Span => ({
    traceId,
    spanId: randomHex(8),
    parentId: spanId,
    kind: name === "upstream" ? "client" : "internal",
    name,
    startedAt: startedAt + offsetMs,
    endedAt: end + offsetMs,
    attributes: {},
    isError: name === "upstream" && isError,
  }));
  return [server, ...children];
}
