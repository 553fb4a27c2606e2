import type { EnvironmentServerEvent } from "@letta-environments/environment-server";
import { printable } from "@letta-environments/command-line";
import type { LogFormat } from "../config/file.ts";
import type { ReloadEvent } from "../config/reload.ts";
import type { SettingProblem } from "../lib/setting-rules.ts";
import type { ProxyEvent } from "../telemetry.ts";

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

/** Writes events as JSON, a line each, with the name of the event as `event`. */
export function createJsonTelemetry(write: (line: string) => void, now: () => number): (event: LogEvent) => void {
  const timeOf = createIsoTime();
  return (event) => write(`${jsonLine(event, timeOf(now()))}\n`);
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

/** An event as a line for people; `null` for what only a machine wants to know. */
export function prettyLine(event: LogEvent): string | null {
  switch (event.type) {
    case "request":
      return [
        `${event.method} ${event.operation ?? "-"} ${event.status} ${event.durationMs} ms`,
        ...(event.keyId === null ? [] : [`key ${event.keyId}`]),
        event.requestId,
      ].join("  ");
    case "listening":
      return `Listening on ${event.url}`;
    case "admin_listening":
      return `Administration on ${event.url}/admin/v1/keys`;
    case "stopping":
      return `${event.signal}: finishing what is in flight`;
    case "stopped":
      return "Stopped";
    case "device_changed":
    case "frame_ignored":
      return null;
    default:
      return [event.type.replaceAll("_", " "), ...Object.entries(event).flatMap(memberText)].join("  ");
  }
}

function memberText([name, value]: readonly [string, unknown]): string[] {
  if (name === "type") return [];
  if (name === "cause") return [describeCause(value) ?? ""].filter((text) => text !== "");
  return [`${name} ${printable(String(value))}`];
}

/** A failure in words, with what led to it. For logs only. */
export function describeCause(cause: unknown): string | null {
  if (cause === null || cause === undefined) return null;
  if (!(cause instanceof Error)) return typeof cause === "string" ? cause : JSON.stringify(cause);
  const parts = [cause.stack ?? String(cause)];
  for (let error = cause.cause; error instanceof Error && parts.length < 4; error = error.cause)
    parts.push(String(error));
  return parts.join(" <- ");
}

/** Lines that come in one turn of the event loop leave in one write: a request costs no system call of its own. */
export function bufferLines(
  write: (text: string) => void,
  defer: (run: () => void) => unknown,
): {
  readonly write: (line: string) => void;
  /** Writes what waits, at once; for the end of the process. */
  readonly flush: () => void;
} {
  let waiting = "";

  function flush(): void {
    const text = waiting;
    waiting = "";
    if (text !== "") write(text);
  }

  return {
    write(line) {
      if (waiting === "") defer(flush);
      waiting += line;
    },
    flush,
  };
}
