/** Alerts for a new request for permission, according to the user's settings. Loaded with the first one. */
import type { Approval } from "@letta-environments/client";
import { printable } from "@letta-environments/command-line/printable";
import { chime, notify } from "../platform/alerts.ts";
import { alerts } from "./approvals.ts";
import { shownNameOf } from "./device-list.ts";

/** Alerts the user to a request. */
export function alertUser({ tool, deviceId }: Approval): void {
  const { sound, notification } = alerts.value;
  if (sound) chime();
  if (notification) notify("Approval needed", `${printable(tool)} on ${shownNameOf(deviceId)} waits for a decision.`);
}
