import { expect, test } from "vitest";
import type { LogEvent } from "../../../adapters/log-event.ts";
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
