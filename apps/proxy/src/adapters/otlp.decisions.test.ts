import { expect, test } from "vitest";
import { decidePush, maxPushAgeMs, rejectedItems } from "./otlp.ts";

const first = { failures: 1, ageMs: 0, nowMs: 1_800_000_000_000, random: 0 };
const response = (status: number, headers: Readonly<Record<string, string>> = {}) => ({ status, headers });

test.each([200, 202])("a push with a response of %i was delivered", (status) => {
  expect(decidePush(response(status), first)).toEqual({ kind: "delivered" });
});

test.each([429, 502, 503, 504])("a push with a response of %i is repeated", (status) => {
  expect(decidePush(response(status), first).kind).toBe("repeat");
});

test.each([301, 400, 401, 404, 408, 413, 500, 501])("a push with a response of %i is never repeated", (status) => {
  const decision = decidePush(response(status, { "retry-after": "1" }), first);
  expect(decision).toMatchObject({ kind: "dropped", reason: "refused" });
});

test("a push without a response is repeated", () => {
  expect(decidePush(null, first).kind).toBe("repeat");
});

test("the delay doubles up to 30 seconds, and is random in its upper half", () => {
  const delays = (random: number) =>
    [1, 2, 3, 6, 50].map((failures) => decidePush(null, { ...first, failures, random }));
  expect(delays(0)).toEqual([500, 1_000, 2_000, 15_000, 15_000].map((pauseMs) => ({ kind: "repeat", pauseMs })));
  expect(delays(0.999_999)).toEqual(
    [999, 1_999, 3_999, 29_999, 29_999].map((pauseMs) => ({ kind: "repeat", pauseMs })),
  );
});

test.each([
  ["7", 7_000],
  [new Date(first.nowMs + 9_000).toUTCString(), 9_000],
  ["soon", 500],
])("Retry-After %s is obeyed: nothing is sent for at least %i ms", (value, pauseMs) => {
  for (const random of [0, 0.5]) {
    const decision = decidePush(response(503, { "retry-after": value }), { ...first, random });
    expect(decision).toMatchObject({ kind: "repeat" });
    expect(decision.kind === "repeat" && decision.pauseMs).toBeGreaterThanOrEqual(pauseMs);
  }
});

test("a push that would be too old by the time of its retry is dropped, and the pause still applies to the next one", () => {
  const decision = decidePush(response(429, { "retry-after": "60" }), { ...first, ageMs: maxPushAgeMs - 1_000 });
  expect(decision).toEqual({ kind: "dropped", reason: "expired", pauseMs: 60_000 });
});

test.each([
  ["{}", 0],
  ['{"partialSuccess":{}}', 0],
  ['{"partialSuccess":{"rejectedSpans":"3","errorMessage":"too old"}}', 3],
  ['{"partialSuccess":{"rejectedDataPoints":2}}', 2],
  ['{"partialSuccess":{"rejectedSpans":-1}}', 0],
  ['{"partialSuccess":{"rejectedSpans":"many"}}', 0],
  ["no JSON", 0],
])("a push with the response %s had %i items rejected", (body, items) => {
  expect(rejectedItems(body)).toBe(items);
});
