import { expect, test } from "vitest";
import { type MetricDefinition, metrics } from "./definitions.ts";
import { createRecorder } from "./recorder.ts";
import { createMetricTable, type MetricTable } from "./table.ts";

function readingOf(table: MetricTable, definition: MetricDefinition) {
  return table.read().find((reading) => reading.definition === definition)?.series ?? [];
}

test("series beyond the limit are counted together, and no count is lost", () => {
  const table = createMetricTable(3);
  for (let index = 0; index < 1_000; index++) table.add(table.series(metrics.refusals, [`code_${index}`]), 1);
  expect(readingOf(table, metrics.refusals)).toEqual([
    ...[0, 1, 2].map((index) => ({ labels: [`code_${index}`], value: 1 })),
    { labels: ["_OTHER"], value: 997 },
  ]);
  expect(table.size).toBe(4);
});

test("a histogram counts a value in the bucket whose bound it does not exceed, and keeps the exact sum", () => {
  const table = createMetricTable();
  const series = table.series(metrics.acknowledgements, []);
  for (const value of [0.0005, 0.0006, 30, 31]) table.observe(series, value);
  const [reading] = readingOf(table, metrics.acknowledgements);
  expect(reading?.value).toBe(4);
  expect(reading?.histogram?.buckets).toEqual([1, 1, ...Array.from({ length: 12 }, () => 0), 1, 1]);
  expect(reading?.histogram?.sum).toBeCloseTo(61.0011, 10);
});

test("counters survive the growth of the table", () => {
  const table = createMetricTable(10_000);
  const series = Array.from({ length: 5_000 }, (_, index) => table.series(metrics.refusals, [`code_${index}`]));
  for (const index of series) table.add(index, 2);
  expect(readingOf(table, metrics.refusals).every(({ value }) => value === 2)).toBe(true);
});

test("made-up ids leave room in the table for what the alerts watch, and a refused credential does not become a label", () => {
  const table = createMetricTable();
  const record = createRecorder(table, { clock: { monotonic: () => 0 }, labels: new Set(["tenant", "key"]) });
  const request = { type: "request", requestId: "r", method: "GET", operation: "listEnvironments", durationMs: 1 };
  const send = (id: string, status: number): void =>
    record({ ...request, tenant: `passthrough:${id}`, keyId: `passthrough:${id}`, status } as never);
  send("refused", 401);
  expect(readingOf(table, metrics.identityRequests)).toEqual([{ labels: ["", "", "4xx"], value: 1 }]);
  for (let index = 0; index < 5_000; index++) send(String(index), 404);
  send("0", 404);
  const identities = readingOf(table, metrics.identityRequests);
  expect(identities.find(({ labels }) => labels[0] === "passthrough:0")?.value).toBe(2);
  expect(identities.reduce((total, { value }) => total + value, 0)).toBe(5_002);
  expect(table.size).toBeLessThan(1_100);
  send("0", 500);
  expect(readingOf(table, metrics.requests).flatMap(({ labels }) => labels)).toContain("500");
});

test("values chosen by callers, upstreams and devices never create metric series", () => {
  const table = createMetricTable();
  const record = createRecorder(table, { clock: { monotonic: () => 0 }, labels: new Set(["tenant", "key", "device"]) });
  for (let index = 0; index < 20_000; index++) {
    const hostile = `evil"\n${index}`;
    record({
      type: "request",
      requestId: hostile,
      method: hostile,
      operation: hostile,
      status: index,
      durationMs: 1,
      tenant: hostile,
      keyId: hostile,
      errorCode: `code_${index}`,
    } as never);
    record({ type: "viewer_disconnected", code: index } as never);
    record({ type: "device_disconnected", reason: hostile, tenant: hostile, deviceId: hostile } as never);
    record({ type: hostile });
    record({ type: "message_sent", deliveryId: hostile } as never);
  }
  expect(table.size).toBeLessThan(700);
  expect(JSON.stringify(table.read())).not.toMatch(/evil|code_1/);
});

test("ids used as labels are limited as well", () => {
  const table = createMetricTable(100);
  const record = createRecorder(table, { clock: { monotonic: () => 0 }, labels: new Set(["device"]) });
  for (let index = 0; index < 5_000; index++) {
    record({
      type: "message_unacknowledged",
      tenant: "t",
      deviceId: `d-${index}`,
      deliveryId: "x",
      reason: "timeout",
    } as never);
  }
  expect(table.size).toBeLessThanOrEqual(101);
  const total = readingOf(table, metrics.deviceEvents).reduce((sum, { value }) => sum + value, 0);
  expect(total).toBe(5_000);
});
