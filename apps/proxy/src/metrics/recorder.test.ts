import { expect, test } from "vitest";
import { metrics } from "./definitions.ts";
import { createRecorder } from "./recorder.ts";
import { createMetricTable } from "./table.ts";

test("every failure, outcome and refusal has a series of value 0 before the first one happens, so that an alert sees the first", () => {
  const table = createMetricTable();
  createRecorder(table, { clock: { monotonic: () => 0 } });
  const zeros = Object.fromEntries(
    table.read().map(({ definition, series }) => {
      expect(series.every(({ value }) => value === 0)).toBe(true);
      return [definition.name, series.map(({ labels }) => labels.join())];
    }),
  );
  expect(zeros[metrics.failures.name]).toEqual(expect.arrayContaining(["upstream_down", "internal_error"]));
  expect(zeros[metrics.refusals.name]).toEqual(expect.arrayContaining(["invalid_key", "not_ready", "none"]));
  expect(zeros[metrics.deliveries.name]).toEqual([
    ...["accepted", "rejected", "unknown", "late_accepted", "late_rejected"],
  ]);
  expect(zeros[metrics.overloadRefusals.name]).toEqual(["request", "connection"]);
  expect(zeros[metrics.degradedLimits.name]).toEqual(["timeout", "error", "unavailable"]);
});

test("a frame that a viewer may not send is counted with the code in its answer", () => {
  const table = createMetricTable();
  const record = createRecorder(table, { clock: { monotonic: () => 0 } });
  const codes = [
    ...["malformed_frame", "frame_too_large", "unknown_frame_type", "invalid_frame", "too_many_frames"],
    ...["too_many_requests", "too_many_terminals", "response_too_large", "insufficient_scope"],
  ];
  for (const errorCode of [...codes, "of_a_device"]) record({ type: "viewer_command", errorCode } as never);
  const counted = table.read().find(({ definition }) => definition === metrics.viewerCommands);
  expect(counted?.series.map(({ labels }) => labels[0])).toEqual([...codes, "_OTHER"]);
});
