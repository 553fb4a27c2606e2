import { expect, test } from "vitest";
import { createOverviewHistory, overviewBuckets, quantileMs, sampleOverview } from "./overview.ts";
import { createRecorder } from "./recorder.ts";
import { createMetricTable } from "./table.ts";

function createWorld() {
  const table = createMetricTable();
  const record = createRecorder(table, { clock: { monotonic: () => 0 } });
  const sample = (at: number) => sampleOverview(table.read(), at, 2);
  const request = (status: number, cache?: "hit" | "miss"): void =>
    record({
      type: "request",
      method: "GET",
      operation: "listEnvironments",
      status,
      durationMs: 4,
      ...(cache && { cache }),
    } as never);
  const waiting = (waitSeconds: number): void =>
    record({
      type: "request",
      method: "GET",
      operation: "retrieveMessage",
      status: 200,
      durationMs: waitSeconds === 0 ? 4 : waitSeconds * 1_000,
      waitSeconds,
    } as never);
  return { sample, request, waiting, history: createOverviewHistory(sample(0)) };
}

test("each bucket counts the events of its minute, and the last one extends to now", () => {
  const { sample, request, history } = createWorld();
  request(200, "miss");
  request(200, "hit");
  history.add(sample(60_000));
  for (const status of [401, 429, 503]) request(status);
  const [first, second, ...more] = history.buckets(sample(70_000));
  expect(more).toEqual([]);
  expect(first).toMatchObject({ startsAt: 0, requests: 2, refused: 0, failed: 0, cacheReads: 2, cacheHits: 1 });
  expect(second).toMatchObject({ startsAt: 60_000, requests: 3, refused: 2, failed: 1, rateLimited: 1, cacheReads: 0 });
  expect(second).toMatchObject({ devicesOnline: 2 });
  expect(first?.p50Ms).toBeGreaterThan(2.5);
  expect(first?.p99Ms).toBeLessThanOrEqual(5);
});

test("a request that waited for the end of a turn is counted, and is not in the percentiles", () => {
  const { sample, request, waiting, history } = createWorld();
  request(200);
  for (let index = 0; index < 9; index++) waiting(60);
  waiting(0);
  expect(history.buckets(sample(60_000))).toMatchObject([{ requests: 11, p50Ms: expect.any(Number) }]);
  expect(history.buckets(sample(60_000))[0]?.p99Ms).toBeLessThanOrEqual(5);
});

test("only the last hour is kept", () => {
  const { sample, history } = createWorld();
  for (let minute = 1; minute <= 200; minute++) history.add(sample(minute * 60_000));
  const buckets = history.buckets(sample(200.5 * 60_000));
  expect(buckets).toHaveLength(overviewBuckets);
  expect(buckets[0]).toMatchObject({ startsAt: 141 * 60_000, p50Ms: null });
});

test("a quantile without values is unknown, and one beyond the last bound is that bound", () => {
  expect(quantileMs([0, 0], 0.5)).toBeNull();
  expect(quantileMs([...Array.from({ length: 15 }, () => 0), 3], 0.5)).toBe(30_000);
});
