import { systemClock } from "@letta-environments/platform/cloudflare";
import type { LogEvent } from "../../adapters/console-telemetry.ts";
import { createJsonTelemetry } from "../../adapters/create-json-telemetry.ts";

/** Writes events as JSON, a line each, to the log of Workers. */
export const log: (event: LogEvent) => void = createJsonTelemetry(
  // oxlint-disable-next-line no-console -- the platform has no other log
  (line) => console.log(line.trimEnd()),
  systemClock.now,
);
