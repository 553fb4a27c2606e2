/** The log: what runtimes log, and how they write it, as JSON or as text for people. */
import { printable } from "@letta-environments/command-line";
import type { LogFormat } from "../config/file.ts";
import { redact } from "../lib/redact.ts";
import type { RateLimitStoreEvent } from "../rate-limit/limiter.ts";
import { levelOf, outcomeOf } from "./log-level.ts";
import type { LogEvent } from "./log-event.ts";

/** Returns a function that writes each event as one line: text for people, or JSON as {@link createJsonTelemetry}. */
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

/** Returns a function that writes each event as one line of JSON, with its type as `event` and the time in ISO 8601 as `time`. */
export function createJsonTelemetry(write: (line: string) => void, now: () => number): (event: LogEvent) => void {
  const timeOf = createIsoTime();
  return (event) => write(`${jsonLine(event, timeOf(now()))}\n`);
}

function jsonLine(event: LogEvent, time: string): string {
  if (event.type === "request") return requestLine(event, time);
  const { type, ...members } = event;
  const logged = "cause" in members ? { ...members, cause: describeCause(members.cause) } : members;
  return JSON.stringify({ event: type, ...logged, level: levelOf(event), time });
}

type RequestEvent = Extract<LogEvent, { readonly type: "request" }>;
type CommonMember = "requestId" | "method" | "operation" | "status" | "durationMs" | "tenant" | "keyId" | "cache";
type RareMember = Exclude<keyof RequestEvent, "type" | CommonMember>;

/** The members that most requests do not have: a record, so that a member that is added to the event does not compile until it stands here. */
const rareMembers: Readonly<Record<RareMember, true>> = {
  traceId: true,
  waitSeconds: true,
  errorCode: true,
  clientAddress: true,
  reason: true,
  limitedBy: true,
  shadowRefusedBy: true,
  shadowLimitedBy: true,
  limitsDegraded: true,
};
const rareNames = Object.keys(rareMembers) as readonly RareMember[];

/** The line of a request. Every request writes one, and joining the members costs half of what `JSON.stringify` does. */
function requestLine(event: RequestEvent, time: string): string {
  const { requestId, method, operation, status, durationMs, tenant, keyId, cache } = event;
  let line =
    `{"event":"request","requestId":${quoted(requestId)},"method":${quoted(method)},"operation":${quoted(operation)},` +
    `"status":${status},"durationMs":${durationMs},"tenant":${quoted(tenant)},"keyId":${quoted(keyId)},`;
  if (cache !== undefined) line += `"cache":"${cache}",`;
  for (const name of rareNames) {
    const value = event[name];
    if (value !== undefined) line += `"${name}":${JSON.stringify(value)},`;
  }
  return `${line}"outcome":"${outcomeOf(status)}","level":"${levelOf(event)}","time":"${time}"}`;
}

/** Texts that JSON writes as they are. */
const plainText = /^[\w.:~-]*$/;

function quoted(text: string | null): string {
  return text !== null && plainText.test(text) ? `"${text}"` : JSON.stringify(text);
}

/** Formats times in ISO 8601. Equal times in a row are formatted once. */
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

/** Formats an event as a line for people; `null` for events that only machines read. */
function prettyLine(event: LogEvent): string | null {
  switch (event.type) {
    case "request":
      return [
        `${event.method} ${event.operation ?? "-"} ${event.status} ${Math.round(event.durationMs)} ms`,
        ...(event.keyId === null ? [] : [`key ${event.keyId}`]),
        ...(event.errorCode === undefined ? [] : [event.errorCode]),
        ...(event.reason === undefined ? [] : [event.reason]),
        ...(event.clientAddress === undefined ? [] : [`from ${event.clientAddress ?? "an unknown address"}`]),
        event.requestId,
      ].join("  ");
    case "listening":
      return `Listening on ${event.url}`;
    case "admin_listening":
      return `Administration on ${event.url}/admin/v1/keys`;
    case "stopping":
      return `${event.signal}: finishing what is in flight`;
    case "short_pepper":
      return "KEY_PEPPER has fewer than 32 characters; the keys of this gateway need it. Replace the keys and KEY_PEPPER.";
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

/** Describes a failure with its chain of causes, for logs only. What looks like a secret is left out. */
function describeCause(cause: unknown): string | null {
  if (cause === null || cause === undefined) return null;
  return redact(textOf(cause));
}

function textOf(cause: unknown): string {
  if (!(cause instanceof Error)) return typeof cause === "string" ? cause : JSON.stringify(cause);
  const parts = [cause.stack ?? String(cause)];
  for (let error = cause.cause; error instanceof Error && parts.length < 4; error = error.cause)
    parts.push(String(error));
  return parts.join(" <- ");
}

/** Returns a function that logs when the store of rate limits becomes unavailable, and when it is available again. */
export function logStoreEvents(log: (event: LogEvent) => void): (event: RateLimitStoreEvent) => void {
  return (event) => {
    if (event.state === "degraded") log({ type: "rate_limits_degraded", reason: event.reason, cause: event.cause });
    else log({ type: "rate_limits_recovered", durationMs: event.durationMs, decisions: event.decisions });
  };
}

/** Buffers the lines of one turn of the event loop and writes them together, so that a request costs no system call of its own. */
export function bufferLines(
  write: (text: string) => void,
  defer: (run: () => void) => unknown,
): {
  readonly write: (line: string) => void;
  /** Writes the buffered lines at once, for the end of the process. */
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
