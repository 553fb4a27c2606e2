import type { EnvironmentServerEvent } from "@letta-environments/environment-server";
import type { LogFormat } from "../config/config-file.ts";
import type { SettingProblem } from "../lib/setting-problem.ts";
import type { ReloadEvent } from "../reload/create-reloader.ts";
import type { ProxyEvent } from "../telemetry.ts";
import { createJsonTelemetry } from "./create-json-telemetry.ts";
import { prettyLine } from "./pretty-line.ts";

/** Everything a runtime logs. */
export type LogEvent =
  | ProxyEvent
  | EnvironmentServerEvent
  | ReloadEvent
  | { readonly type: "listening"; readonly url: string }
  | { readonly type: "admin_listening"; readonly url: string }
  | { readonly type: "stopping"; readonly signal: string }
  | { readonly type: "stopped" }
  /** Settings break rules, so that nothing is served (Workers). The values are not repeated. */
  | { readonly type: "not_configured"; readonly problems: readonly SettingProblem[] }
  /** Where the audit log of this process ends: kept with the log, it proves that nothing before it was taken away. */
  | { readonly type: "audit_end"; readonly writer: string; readonly sequence: number; readonly hash: string };

/** Writes events as they come, a line each: text for people, or JSON with the name of the event as `event`. */
export function createConsoleTelemetry(
  format: LogFormat,
  write: (line: string) => void,
  now: () => number,
): (event: LogEvent) => void {
  if (format === "json") return createJsonTelemetry(write, now);
  return (event) => {
    const line = prettyLine(event);
    if (line !== null) write(`${new Date(now()).toISOString().slice(11, 19)} ${line}\n`);
  };
}
