import type { EnvironmentServerEvent } from "@letta-environments/environment-server";
import type { LogFormat } from "../config/config-file.ts";
import type { SettingProblem } from "../config/settings.ts";
import type { ReloadEvent } from "../reload/create-reloader.ts";
import type { ProxyEvent } from "../telemetry-events.ts";
import { describeCause } from "./describe-cause.ts";
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
  if (format === "json") {
    const timeOf = createIsoTime();
    return (event) => write(`${jsonLine(event, timeOf(now()))}\n`);
  }
  return (event) => {
    const line = prettyLine(event);
    if (line !== null) write(`${new Date(now()).toISOString().slice(11, 19)} ${line}\n`);
  };
}

/** There is a line for every request: nothing is copied that can be written as it is. */
function jsonLine(event: LogEvent, time: string): string {
  const told = "cause" in event ? { ...event, cause: describeCause(event.cause) } : event;
  const text = JSON.stringify(told);
  const start = '{"type":';
  if (!text.startsWith(start)) {
    const { type, ...members } = told;
    return JSON.stringify({ event: type, ...members, time });
  }
  return `{"event":${text.slice(start.length, -1)},"time":"${time}"}`;
}

/** Writes times in ISO 8601; those of one millisecond once. */
function createIsoTime(): (timeMs: number) => string {
  let lastMs = Number.NaN;
  let text = "";
  return (timeMs) => {
    if (timeMs !== lastMs) {
      text = new Date(timeMs).toISOString();
      lastMs = timeMs;
    }
    return text;
  };
}
