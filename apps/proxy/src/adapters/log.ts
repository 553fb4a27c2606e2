/** The log: what runtimes log, and how they write it, as JSON or as text for people. */
import { printable } from "@letta-environments/command-line";
import type { LogFormat } from "../config/file.ts";
import { isWildcard } from "../lib/hosts.ts";
import { redact, rootCauseMessage } from "../lib/redact.ts";
import type { RateLimitStoreEvent } from "../rate-limit/limiter.ts";
import { isAtLeast, levelOf, type LogEvent, outcomeOf } from "./log-event.ts";

/** Returns a function that writes each event as one line: text for people, or JSON as {@link createJsonLogWriter}. */
export function createLogWriter(
  format: LogFormat,
  write: (line: string) => void,
  now: () => number,
): (event: LogEvent) => void {
  if (format === "json") return createJsonLogWriter(write, now);
  return (event) => {
    const line = prettyLine(event);
    if (line !== null) write(`${new Date(now()).toISOString().slice(11, 19)} ${line}\n`);
  };
}

/** Returns a function that writes each event as one line of JSON, with its type as `event` and the time in ISO 8601 as `time`. */
export function createJsonLogWriter(write: (line: string) => void, now: () => number): (event: LogEvent) => void {
  const timeOf = createIsoTime();
  return (event) => write(`${jsonLine(event, timeOf(now()))}\n`);
}

/** Returns a function that writes each event with `console.log`, the only log of Workers, as {@link createJsonLogWriter} does. */
export function createConsoleLogWriter(now: () => number): (event: LogEvent) => void {
  // oxlint-disable-next-line no-console -- the platform has no other log
  return createJsonLogWriter((line) => console.log(line.trimEnd()), now);
}

/** Every request writes a line, so this avoids copies of the event. */
function jsonLine(event: LogEvent, time: string): string {
  const logged = "cause" in event ? { ...event, cause: describeCause(event.cause) } : event;
  const outcome = event.type === "request" ? `"outcome":"${outcomeOf(event.status)}",` : "";
  const text = JSON.stringify(logged);
  const start = '{"type":';
  if (!text.startsWith(start)) {
    const { type, ...members } = logged;
    return JSON.stringify({ event: type, ...members, level: levelOf(event), time });
  }
  return `{"event":${text.slice(start.length, -1)},${outcome}"level":"${levelOf(event)}","time":"${time}"}`;
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
      return `Listening on ${event.url}${whereOf(event.host)}`;
    case "admin_listening":
      return `Administration on ${event.url}/admin/v1/keys${whereOf(event.host)}`;
    case "stopping":
      return `${event.signal}: finishing what is in flight`;
    case "short_pepper":
      return "KEY_PEPPER has fewer than 32 characters; the keys of this gateway need it. Replace the keys and KEY_PEPPER.";
    case "keys_missing":
      return "There are no keys, but the audit log names some. If they are lost, stop the gateway and restore them from a backup.";
    case "no_upstream_credential":
      return "No credential for the upstream: LETTA_API_KEY is not set";
    case "stopped":
      return "Stopped";
    case "device_changed":
    case "frame_ignored":
      return null;
    default:
      return [event.type.replaceAll("_", " "), ...Object.entries(event).flatMap(memberText)].join("  ");
  }
}

/** The URL of a listener on all addresses names loopback, which would hide that other machines can reach it. */
function whereOf(host: string): string {
  return isWildcard(host) ? " on all addresses" : "";
}

function memberText([name, value]: readonly [string, unknown]): string[] {
  if (name === "type") return [];
  if (name === "cause") return [describeCause(value) ?? ""].filter((text) => text !== "");
  return [`${name} ${printable(String(value))}`];
}

/** Describes a failure with its chain of causes, for logs only. Leaves out anything that looks like a secret. */
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

/** Returns the functions that log the failures of a key store, and its damaged records. */
export function logKeyStore(log: (event: LogEvent) => void) {
  return {
    onFailure: (cause: unknown): void =>
      log({ type: "key_store_failed", requestId: "-", reason: rootCauseMessage(cause) }),
    onDamaged: (keyId: string): void => log({ type: "key_record_damaged", keyId }),
  };
}

/** Returns a function that logs when the store of rate limits becomes unavailable, and when it is available again. */
export function logStoreEvents(log: (event: LogEvent) => void): (event: RateLimitStoreEvent) => void {
  return (event) => {
    if (event.state === "degraded") log({ type: "rate_limits_degraded", reason: event.reason, cause: event.cause });
    else log({ type: "rate_limits_recovered", durationMs: event.durationMs, decisions: event.decisions });
  };
}

/** Maximum number of unread bytes: for lines up to level `info`, and twice as many for warnings and errors. */
export const maxUnreadBytes = 4_194_304;

/** The state of the output that lines are written to. */
export interface OutputState {
  /** Bytes that the reader has not read yet. */
  readonly unreadBytes: number;
  /** How many lines could not be written. */
  readonly lostLines: number;
  /** Whether the last line could not be written. */
  readonly isFailing: boolean;
}

/** Drops lines that nobody reads. Once there is room again, logs how many were dropped or could not be written. */
export function dropUnread(write: (event: LogEvent) => void, output: OutputState) {
  let unread = 0;
  let logged = 0;
  /** Counts the lines that were dropped. */
  const dropped = (): number => unread + output.lostLines;
  return {
    log(event: LogEvent): void {
      const isFull = output.unreadBytes > maxUnreadBytes;
      if (isFull && (output.unreadBytes > 2 * maxUnreadBytes || !isAtLeast(event, "warn"))) {
        unread += 1;
        return;
      }
      if (!isFull && !output.isFailing && dropped() > logged) {
        const lines = dropped() - logged;
        logged += lines;
        write({ type: "log_dropped", lines });
      }
      write(event);
    },
    dropped,
  };
}

/** Buffers the lines of one turn of the event loop and writes them together, so that not every request costs a system call. */
export function bufferLines(write: (text: string) => void, defer: (run: () => void) => unknown) {
  let waiting = "";

  /** Writes the buffered lines immediately, for the end of the process. */
  function flush(): void {
    const text = waiting;
    waiting = "";
    if (text !== "") write(text);
  }

  return {
    write(line: string): void {
      if (waiting === "") defer(flush);
      waiting += line;
    },
    flush,
  };
}
