import { propagation, type Context, type Span, type SpanOptions, trace, type Tracer } from "@opentelemetry/api";
import { afterEach, expect, test } from "vitest";
import { createClient } from "../src/index.ts";
import { openTelemetry } from "../src/opentelemetry.ts";
import { respondWithJson, respondWithProblem, scriptFetch } from "../src/testing/index.ts";
import { catchError } from "./catch-error.ts";
import { createHandClock } from "./hand-clock.ts";
import { installRandom } from "./install-clock.ts";
import { emptyPage } from "./scripted-fetch.ts";

interface Recorded {
  readonly name: string;
  readonly parent: string | undefined;
  readonly attributes: Record<string, unknown>;
  readonly events: unknown[];
  status?: unknown;
  ended: boolean;
}

const names = new WeakMap<Span, string>();

/** A tracer that records its spans. */
function recordingTracer(): { readonly tracer: Tracer; readonly spans: Recorded[] } {
  const spans: Recorded[] = [];
  const startSpan = (name: string, options: SpanOptions = {}, active?: Context): Span => {
    const parent = active === undefined ? undefined : trace.getSpan(active);
    const recorded: Recorded = {
      name,
      parent: parent && names.get(parent),
      attributes: { ...options.attributes },
      events: [],
      ended: false,
    };
    spans.push(recorded);
    const span = {
      setAttribute: (key: string, value: unknown) => void (recorded.attributes[key] = value),
      setStatus: (status: unknown) => void (recorded.status = status),
      addEvent: (event: string, attributes: unknown) => void recorded.events.push([event, attributes]),
      end: () => void (recorded.ended = true),
      spanContext: () => ({ traceId: "1".repeat(32), spanId: "2".repeat(16), traceFlags: 1 }),
    } as unknown as Span;
    names.set(span, name);
    return span;
  };
  return { tracer: { startSpan } as unknown as Tracer, spans };
}

afterEach(() => propagation.disable());

const base = { baseUrl: "https://gateway.example:8787", apiKey: "lek_s3cr3t" };

test("a call is a span with an event for each retry, and each attempt is a client span below it", async () => {
  const { tracer, spans } = recordingTracer();
  const script = scriptFetch(respondWithProblem("shutting_down", { retryAfterSeconds: 0 }), emptyPage);
  createHandClock();
  installRandom(1);
  const client = createClient({ ...base, fetch: script.fetch, ...openTelemetry({ tracer }) });
  await client.environments.list();
  const common = {
    "http.request.method": "GET",
    "url.full": "https://gateway.example:8787/v1/environments",
    "server.address": "gateway.example",
    "server.port": 8787,
  };
  const failed = { code: 2 };
  expect(spans).toEqual([
    {
      name: "listEnvironments",
      parent: undefined,
      attributes: {},
      events: [["retry", { attempt: 1, "delay.ms": 500, "error.type": "shutting_down" }]],
      ended: true,
    },
    {
      name: "GET",
      parent: "listEnvironments",
      attributes: { ...common, "http.response.status_code": 503, "error.type": "503" },
      events: [],
      status: failed,
      ended: true,
    },
    {
      name: "GET",
      parent: "listEnvironments",
      attributes: { ...common, "http.request.resend_count": 1, "http.response.status_code": 200 },
      events: [],
      ended: true,
    },
  ]);
});

test("a failure marks the call's span with its code, and no span contains the key", async () => {
  const { tracer, spans } = recordingTracer();
  const script = scriptFetch(() => new TypeError("fetch failed"));
  const client = createClient({ ...base, maxRetries: 0, fetch: script.fetch, ...openTelemetry({ tracer }) });
  await catchError(client.environments.list());
  expect(spans.map(({ attributes }) => attributes["error.type"])).toEqual(["connection_failed", "TypeError"]);
  expect(spans.every(({ ended }) => ended)).toBe(true);
  expect(JSON.stringify(spans)).not.toContain("s3cr3t");
});

test.each([
  [true, "00-trace-span-01"],
  [undefined, null],
])("traceparent is sent only if propagate is true: %j", async (propagate, expected) => {
  propagation.setGlobalPropagator({
    inject: (_context, carrier, setter) => setter.set(carrier, "traceparent", "00-trace-span-01"),
    extract: (active) => active,
    fields: () => ["traceparent"],
  });
  const { tracer } = recordingTracer();
  const script = scriptFetch(emptyPage);
  const client = createClient({ ...base, fetch: script.fetch, ...openTelemetry({ tracer, propagate }) });
  await client.environments.list();
  expect(new Headers(script.seen[0]?.init.headers).get("traceparent")).toBe(expected);
});

test("calls work without a trace provider, and nothing is traced", async () => {
  const client = createClient({ ...base, fetch: scriptFetch(emptyPage).fetch, ...openTelemetry() });
  await expect(client.environments.list()).resolves.toEqual({ connections: [], hasNextPage: false });
});

test("spans name neither a message nor the contents of a query", async () => {
  const { tracer, spans } = recordingTracer();
  const status = {
    clientMessageId: "secret-message",
    deviceId: "d",
    agentId: "a",
    conversationId: "c",
    state: "running",
  };
  const script = scriptFetch(respondWithJson(200, status));
  const { environments } = createClient({ ...base, fetch: script.fetch, ...openTelemetry({ tracer }) });
  await environments.messages.retrieve("conn-1", "secret-message", { agentId: "secret-agent" });
  expect(JSON.stringify(spans)).not.toContain("secret-");
  expect(spans[1]?.attributes["url.full"]).toBe(`${base.baseUrl}/v1/environments/conn-1/messages/REDACTED`);
});
