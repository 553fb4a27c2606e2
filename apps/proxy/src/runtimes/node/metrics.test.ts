import { createOtlpCollector } from "@letta-environments/testkit";
import { expect, onTestFinished, test, vi } from "vitest";
import type { LogEvent } from "../../adapters/log-event.ts";
import { composeMetrics } from "./metrics.ts";

test("process metrics that cannot be read, as without a free file descriptor, are reported, and break neither the timer nor the shutdown", async () => {
  const cause = new Error("EMFILE: too many open files, uv_resident_set_memory");
  const otlp = { endpoint: "http://127.0.0.1:9", headers: {}, serviceName: "test", intervalMs: 1, sampleRatio: 0 };
  const metrics = composeMetrics({ metrics: { enabled: true, labels: [] }, otlp }, () => 0);
  const fail = (): never => {
    throw cause;
  };
  const reported = await new Promise<LogEvent[]>((resolve) => {
    const events: LogEvent[] = [];
    metrics?.begin(fail, (event) => void (events.push(event) === 2 && resolve(events)));
  });
  const event = { type: "internal_error", requestId: "-", cause };
  expect(reported.slice(0, 2)).toEqual([event, event]);
  await metrics?.end();
});

/** Returns the start times and the times, in nanoseconds, of the points that are pushed after a change of the wall clock. */
async function pushAfterChange(changeMs: number) {
  const collector = await createOtlpCollector();
  onTestFinished(collector.close);
  const otlp = { endpoint: collector.url, headers: {}, serviceName: "test", intervalMs: 60_000, sampleRatio: 0 };
  const metrics = composeMetrics({ metrics: { enabled: true, labels: [] }, otlp }, () => 0);
  const wallTimeMs = Date.now() + changeMs;
  const wallTime = vi.spyOn(Date, "now").mockReturnValue(wallTimeMs);
  onTestFinished(() => wallTime.mockRestore());
  await metrics?.end();

  const timesOf = (name: string): readonly bigint[] =>
    [...JSON.stringify(collector.pushes[0]?.body).matchAll(new RegExp(`"${name}":"(\\d+)"`, "g"))].map(
      ([, digits = ""]) => BigInt(digits),
    );
  const [starts, times] = [timesOf("startTimeUnixNano"), timesOf("timeUnixNano")];
  expect(starts.length).toBeGreaterThan(0);
  return { starts, times, wallTimeNs: BigInt(wallTimeMs) * 1_000_000n };
}

test("after the wall clock was set back, no point that is pushed has a time before the start of its counter", async () => {
  const { starts, times } = await pushAfterChange(-86_400_000);
  expect(times.filter((time) => starts.some((start) => time < start))).toEqual([]);
});

test("after the wall clock was set forward, as when a machine was suspended, every point that is pushed has the new time", async () => {
  const { times, wallTimeNs } = await pushAfterChange(86_400_000);
  expect(times.filter((time) => time !== wallTimeNs)).toEqual([]);
});
