import { jsonResponse } from "@letta-environments/schema";
import { expect, test } from "vitest";
import { fakeRequest } from "../../test/support/fake-request.ts";
import { createTestProxy } from "../../test/support/test-proxy.ts";
import { formatTraceparent, parseTraceparent } from "../http/traceparent.ts";
import { createObserver } from "./observer.ts";
import { createSpanBuffer, maxWaitingSpans, type Span, toOtlpSpans } from "./spans.ts";

const traceId = "0af7651916cd43dd8448eb211c80319c";
const parentId = "b7ad6b7169203331";
const sampled = `00-${traceId}-${parentId}-01`;
const unsampled = `00-${traceId}-${parentId}-00`;

function createWorld(sampleRatio: number | null) {
  const spans: Span[] = [];
  const steps: string[] = [];
  let id = 0;
  const testProxy = createTestProxy(() => Promise.resolve(jsonResponse(200, { connections: [], hasNextPage: false })), {
    ports: {
      wrapStep: createObserver({
        clock: { now: () => 1_800_000_000_000, monotonic: () => performance.now() },
        random: () => 0.5,
        randomHex: (bytes) => (++id).toString(16).padStart(bytes * 2, "0"),
        sampleRatio,
        onStep: (step) => steps.push(step),
        onSpans: (ended) => spans.push(...ended),
      }),
    },
  });
  const ask = async (scopes: readonly ("list" | "details")[], given: string | Record<string, string> = {}) => {
    const { key } = await testProxy.issueKey({ scopes });
    const headers = typeof given === "string" ? { traceparent: given } : given;
    return testProxy.proxy.handle(fakeRequest({ key, headers }));
  };
  return { ...testProxy, spans, steps, ask };
}

test.each([
  ["", null],
  [sampled, { traceId, spanId: parentId, isSampled: true, isRandom: false }],
  [unsampled, { traceId, spanId: parentId, isSampled: false, isRandom: false }],
  [`00-${traceId}-${parentId}-02`, { traceId, spanId: parentId, isSampled: false, isRandom: true }],
  [`cc-${traceId}-${parentId}-ff-later`, { traceId, spanId: parentId, isSampled: true, isRandom: true }],
  [`cc-${traceId}-${parentId}-01.later`, null],
  [`${sampled}-later`, null],
  [`ff-${traceId}-${parentId}-01`, null],
  [`00-${"0".repeat(32)}-${parentId}-01`, null],
  [`00-${traceId}-${"0".repeat(16)}-01`, null],
  [sampled.toUpperCase(), null],
  [`${sampled}\r\nx: y`, null],
] as const)("the traceparent %j is read as %j", (header, expected) => {
  expect(parseTraceparent(header)).toEqual(expected);
  if (expected !== null) expect(parseTraceparent(formatTraceparent(expected))).toEqual(expected);
});

test("a tracestate reaches the upstream with its own trace, and not with a trace that the gateway started", async () => {
  const { ask, upstreamRequests } = createWorld(1);
  await ask(["list"], { traceparent: sampled, tracestate: "vendor=1" });
  await ask(["list"], { tracestate: "vendor=1" });
  const seen = upstreamRequests.map(({ headers }) => [
    headers["traceparent"]?.includes(traceId),
    headers["tracestate"],
  ]);
  expect(seen).toEqual([
    [true, "vendor=1"],
    [false, undefined],
  ]);
});

test("Server-Timing is sent only to keys with the scope details", async () => {
  const { ask } = createWorld(null);
  expect((await ask(["list"])).headers["server-timing"]).toBeUndefined();
  expect((await ask(["list"], sampled)).headers["server-timing"]).toBeUndefined();
  const timing = (await ask(["list", "details"])).headers["server-timing"] ?? "";
  expect(timing.split(", ").map((entry) => entry.replace(/;dur=\d+(?:\.\d{1,3})?$/, ""))).toEqual([
    ...["authenticate", "rate_limit", "validate", "cache", "upstream", "total"],
  ]);
});

test("the spans of a sampled request continue the caller's trace, and the upstream continues the gateway's", async () => {
  const { ask, spans, upstreamRequests, events } = createWorld(0);
  await ask(["list"], sampled);
  const [server, ...steps] = spans;
  expect(server).toMatchObject({ traceId, parentId, kind: "server", name: "GET listEnvironments", isError: false });
  expect(server?.attributes).toMatchObject({
    "http.route": "/v1/environments",
    "http.response.status_code": 200,
    "letta.operation": "listEnvironments",
  });
  expect(steps.map(({ name, kind }) => `${name} ${kind}`)).toContain("upstream client");
  expect(new Set(steps.map((step) => `${step.traceId} ${step.parentId}`))).toEqual(
    new Set([`${traceId} ${server?.spanId}`]),
  );
  expect(steps.every(({ startedAt, endedAt }) => startedAt <= endedAt && endedAt <= (server?.endedAt ?? 0) + 1)).toBe(
    true,
  );
  const forwarded = parseTraceparent(upstreamRequests[0]?.headers["traceparent"] ?? null);
  expect(forwarded).toEqual({ traceId, spanId: server?.spanId, isSampled: true, isRandom: false });
  expect(events).toMatchObject([{ type: "request", traceId }]);
});

test("the trace flags tell the upstream whether the trace id is random; one that the gateway generated is", async () => {
  const { ask, upstreamRequests } = createWorld(1);
  await ask(["list"], `00-${traceId}-${parentId}-03`);
  await ask(["list"]);
  expect(upstreamRequests.map(({ headers }) => headers["traceparent"]?.slice(-3))).toEqual(["-03", "-03"]);
});

test("an unsampled trace is passed on unchanged, and appears only in the log", async () => {
  const { ask, spans, upstreamRequests, events } = createWorld(1);
  await ask(["list"], unsampled);
  expect([spans, upstreamRequests[0]?.headers["traceparent"]]).toEqual([[], unsampled]);
  expect(events).toMatchObject([{ traceId }]);
});

test("without a trace from the caller the sampling ratio decides, and an invalid traceparent counts as missing", async () => {
  const [always, never] = [createWorld(1), createWorld(0.5)];
  await always.ask(["list"], "nonsense");
  expect(always.spans[0]).toMatchObject({ parentId: null, kind: "server" });
  expect(always.spans[0]?.traceId).toMatch(/^[0-9a-f]{32}$/);
  await never.ask(["list"]);
  expect(never.spans).toEqual([]);
});

test("requests without a valid key cause no spans", async () => {
  const { proxy, spans } = createWorld(1);
  await proxy.handle(fakeRequest({ key: "lek_nothing", headers: { traceparent: sampled } }));
  expect(spans).toEqual([]);
});

test("at most one request in five milliseconds is measured for metrics, and every request of a quiet gateway", async () => {
  const { proxy, issueKey, steps, clock } = createWorld(null);
  const { key } = await issueKey({ scopes: ["list"] });
  const countMeasured = async (intervalMs: number): Promise<number> => {
    const before = steps.filter((step) => step === "authenticate").length;
    for (let index = 0; index < 40; index++) {
      await clock.advance(intervalMs);
      await proxy.handle(fakeRequest({ key }));
    }
    return steps.filter((step) => step === "authenticate").length - before;
  };
  expect([await countMeasured(1), await countMeasured(5)]).toEqual([8, 40]);
});

test("pending spans are limited, counted when they are dropped, and encoded as OTLP", () => {
  const span: Span = {
    ...{ traceId, spanId: parentId, parentId: null, kind: "server", name: "GET x" },
    ...{ startedAt: 1_800_000_000_000.5, endedAt: 1_800_000_000_001, attributes: { a: 1, b: "x" }, isError: true },
  };
  let dropped = 0;
  const buffer = createSpanBuffer((spans) => (dropped += spans));
  for (let index = 0; index < maxWaitingSpans + 10; index++) buffer.add([span]);
  expect([buffer.take().length, buffer.take().length, dropped]).toEqual([maxWaitingSpans, 0, 10]);
  expect(toOtlpSpans([span], { "service.name": "s" })).toMatchObject({
    resourceSpans: [
      {
        resource: { attributes: [{ key: "service.name", value: { stringValue: "s" } }] },
        scopeSpans: [
          {
            spans: [
              {
                kind: 2,
                startTimeUnixNano: "1800000000000500000",
                endTimeUnixNano: "1800000000001000000",
                attributes: [
                  { key: "a", value: { intValue: "1" } },
                  { key: "b", value: { stringValue: "x" } },
                ],
                status: { code: 2 },
              },
            ],
          },
        ],
      },
    ],
  });
});
