/** Lines about an event of a device: for people, and for programs. */
import type { EnvironmentEvent } from "@letta-environments/client";
import {
  displayWidth,
  formatColumns,
  formatJson,
  formatTime,
  type Paint,
  printable,
  type Style,
  truncate,
} from "@letta-environments/command-line";

const styles: Readonly<Record<EnvironmentEvent["type"], Style | null>> = {
  appeared: null,
  changed: null,
  online: "green",
  offline: "dim",
  gone: "red",
};

/** An event as a line of columns (time, event, deviceId, name), or as one JSON document on a line. */
export function formatEventForPrograms(
  { type, environment, online }: EnvironmentEvent,
  nowMs: number,
  isJson: boolean,
): string {
  const time = formatTime(nowMs);
  if (isJson) return formatJson({ time, type, online, environment }, 0);
  return formatColumns([time, type, environment.deviceId, environment.connectionName]);
}

/** The longest is "appeared, offline". */
const stateWidth = 17;

/** An event as a line for people, never wider than the terminal. */
export function formatEventForPeople(
  { type, environment, online }: EnvironmentEvent,
  nowMs: number,
  width: number | null,
  paint: Paint,
): string {
  const start = `${formatTime(nowMs).slice(11, 19)}  `;
  const state = type === "appeared" || type === "changed" ? `${type}, ${online ? "online" : "offline"}` : type;
  const left = (width ?? Number.POSITIVE_INFINITY) - displayWidth(start) - stateWidth - 2;
  const device = `${printable(environment.connectionName)} (${printable(environment.deviceId)})`;
  return `${paint(start, "dim")}${paint(state.padEnd(stateWidth), styles[type])}  ${truncate(device, left)}\n`;
}
