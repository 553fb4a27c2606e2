import { printable } from "@letta-environments/command-line";
import type { LogEvent } from "./console-telemetry.ts";
import { describeCause } from "./describe-cause.ts";

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
    case "frame_received":
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
