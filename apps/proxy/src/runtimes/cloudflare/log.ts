import { systemClock } from "@letta-environments/platform/cloudflare";
import { createConsoleTelemetry, type LogEvent } from "../../adapters/console-telemetry.ts";

/** Writes events as JSON, a line each, to the log of Workers. */
export const log: (event: LogEvent) => void = createConsoleTelemetry(
  "json",
  // oxlint-disable-next-line no-console -- the platform has no other log
  (line) => console.log(line.trimEnd()),
  systemClock.now,
);
