import type { LogEvent } from "./console-telemetry.ts";
import { describeCause } from "./describe-cause.ts";

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
