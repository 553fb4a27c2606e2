/** Requests for permission of all devices. */
import type { Approval } from "@letta-environments/client";
import { computed, type ReadonlySignal, signal } from "@preact/signals";
import { store, stored } from "../platform/browser.ts";
import { onEvent, onRefresh } from "./environments.ts";
import { mayApprove } from "./session.ts";

/** The requests that wait, the oldest first. */
export const approvals = signal<readonly Approval[]>([]);

/** Why the list could not be read; `null`: it was. */
export const approvalsFailure = signal<string | null>(null);

/** The number of requests that wait. */
export const approvalCount: ReadonlySignal<number> = computed(() => approvals.value.length);

/** Whether a sound is played, and a notification shown, for a new request. */
export const alerts = signal<{ readonly sound: boolean; readonly notification: boolean }>({
  sound: stored("sound") === true,
  notification: stored("notification") === true,
});

/** Changes the alerts, also for the next visit. */
export function setAlert(name: "sound" | "notification", isOn: boolean): void {
  alerts.value = { ...alerts.value, [name]: isOn };
  store(name, isOn);
}

/** Identifies a request among all devices. The conversation `default` exists once for each agent. */
export function keyOf(approval: Pick<Approval, "deviceId" | "agentId" | "conversationId" | "id">): string {
  const { deviceId, agentId, conversationId, id } = approval;
  return JSON.stringify([deviceId, agentId, conversationId, id]);
}

async function read(): Promise<void> {
  if (!mayApprove()) return;
  // Apart from the first view, since the client's part for approvals is large.
  const { readApprovals } = await import("./approval-list.ts");
  const result = await readApprovals();
  if (typeof result === "string") approvalsFailure.value = result;
  else {
    approvals.value = result;
    approvalsFailure.value = null;
  }
}

/** Begins to follow requests for permission. */
export function followApprovals(): void {
  onRefresh(() => void read());
  onEvent((event) => {
    if (event.type !== "approval") return;
    const key = keyOf(event.approval);
    const others = approvals.value.filter((approval) => keyOf(approval) !== key);
    if (event.change !== "requested") {
      approvals.value = others;
      return;
    }
    approvals.value = [...others, { ...(event.approval as Approval), ageMs: 0 }];
    const { sound, notification } = alerts.value;
    if (!sound && !notification) return;
    void import("../platform/alerts.ts").then(async ({ chime, notify }) => {
      if (sound) chime();
      if (!notification) return;
      const { printable } = await import("../model/tool-input.ts");
      notify("Approval needed", `${printable(event.approval.tool)} on a device waits for a decision.`);
    });
  });
}
