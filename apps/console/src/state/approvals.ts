/** Requests for permission of all devices. */
import type { Approval, Environment, StreamedEvent } from "@letta-environments/client";
import { computed, type ReadonlySignal, signal } from "@preact/signals";
import { readStored, writeStored } from "../platform/browser.ts";
import { addFollower } from "./environments.ts";
import { maySeeApprovals } from "./session.ts";

/** The requests that wait, the oldest first. */
export const approvals = signal<readonly Approval[]>([]);

/** Why the list could not be read; `null` if it was; `undefined`: not read yet, so it is unknown what waits. */
export const approvalsFailure = signal<string | null | undefined>(undefined);

/** Milliseconds until a list that could not be read is read again. */
const rereadMs = 30_000;

/** The number of requests of online devices, which can be decided. */
export const approvalCount: ReadonlySignal<number> = computed(
  () => approvals.value.filter(({ connectionId }) => connectionId !== null).length,
);

/**
 * Returns how many requests of a device wait. The number in its row is as old as the list, because no event updates it, so the row is used only
 * if the page does not follow the requests.
 */
export function pendingOf({ deviceId, pendingApprovals = 0 }: Environment): number {
  return maySeeApprovals() && approvalsFailure.value === null
    ? (countsByDevice.value.get(deviceId) ?? 0)
    : pendingApprovals;
}

const countsByDevice: ReadonlySignal<ReadonlyMap<string, number>> = computed(() => {
  const counts = new Map<string, number>();
  for (const { deviceId } of approvals.value) counts.set(deviceId, (counts.get(deviceId) ?? 0) + 1);
  return counts;
});

/** Whether a sound is played, and a notification shown, for a new request. */
export const alerts = signal<{ readonly sound: boolean; readonly notification: boolean }>({
  sound: readStored("localStorage", "sound") === true,
  notification: readStored("localStorage", "notification") === true,
});

/** Changes the alerts, including for the next visit. */
export function setAlert(name: "sound" | "notification", isOn: boolean): void {
  alerts.value = { ...alerts.value, [name]: isOn };
  writeStored("localStorage", name, isOn);
}

/** Identifies a request among all devices. The conversation `default` exists once for each agent. */
export function keyOf(approval: Pick<Approval, "deviceId" | "agentId" | "conversationId" | "id">): string {
  const { deviceId, agentId, conversationId, id } = approval;
  return JSON.stringify([deviceId, agentId, conversationId, id]);
}

/**
 * Identifies what a person decides on: a device can withdraw a request and ask for something else under the same id. Details that become
 * known later, such as the message, are not part of it.
 */
export function questionOf(approval: Approval): string {
  const known = questions.get(approval);
  if (known !== undefined) return known;
  const { requestedAt, tool, input, inputTruncated, reason, suggestions } = approval;
  const question = JSON.stringify([keyOf(approval), requestedAt, tool, input, inputTruncated, reason, suggestions]);
  questions.set(approval, question);
  return question;
}

/** Inputs can be long, and every event compares all requests. */
const questions = new WeakMap<Approval, string>();

/** The events since the present read began, which its list may lack; `null`: nothing is read. */
let since: StreamedEvent[] | null = null;
/** Whether the present read may be out of date, so that another one follows. */
let isDueAgain = false;
let retry: ReturnType<typeof setTimeout> | undefined;

/** Reads the list. A read that is under way is shown too: devices that come and go must not hide the requests of others for ever. */
async function read(): Promise<void> {
  if (!maySeeApprovals()) return;
  isDueAgain = since !== null;
  if (isDueAgain) return;
  clearTimeout(retry);
  const missed: StreamedEvent[] = [];
  since = missed;
  // Loaded separately from the first view, since the client's part for approvals is large.
  const result = await import("./approval-list.ts").then(
    ({ readApprovals }) => readApprovals(),
    () => "This part of the console could not be loaded: wait, or reload the page.",
  );
  // The session has ended.
  if (since !== missed) return;
  since = null;
  if (typeof result === "string") {
    approvalsFailure.value = result;
    retry = setTimeout(() => void read(), rereadMs);
  } else {
    show(missed.reduce(applyEvent, result));
    approvalsFailure.value = null;
  }
  if (isDueAgain) void read();
}

/** Whether a device that asks has connected or left. Its requests do not show this, and now have another connection. */
function isMove(event: StreamedEvent): boolean {
  return (
    event.type === "environment" &&
    "connectionId" in event.environment &&
    approvals.value.some(({ deviceId }) => deviceId === event.deviceId)
  );
}

/** Shows the requests that wait now, and alerts the user to new ones. A request that was decided before the page knew of it causes no alert. */
function show(waiting: readonly Approval[]): void {
  const known = new Set(approvals.value.map(questionOf));
  approvals.value = waiting;
  const added = waiting.find((approval) => !known.has(questionOf(approval)));
  if (added !== undefined && (alerts.value.sound || alerts.value.notification)) alertUser(added);
}

let alertUser: (approval: Approval) => void;

/** Begins to follow requests for permission. @param tell alerts the user to a new one, if alerts are on */
export function followApprovals(tell: (approval: Approval) => void): void {
  alertUser = tell;
  addFollower({
    onEvents(events) {
      since?.push(...events);
      show(events.reduce(applyEvent, approvals.value));
      if (events.some(isMove)) void read();
    },
    refresh: () => void read(),
    forget() {
      since = null;
      approvals.value = [];
      approvalsFailure.value = undefined;
    },
  });
}

function applyEvent(present: readonly Approval[], event: StreamedEvent): readonly Approval[] {
  if (event.type !== "approval") return present;
  if (event.change === "requested") return withRequest(present, { ...event.approval, ageMs: 0 });
  const key = keyOf(event.approval);
  return present.filter((approval) => keyOf(approval) !== key);
}

/** Adds a request, or replaces it when more about it becomes known, such as its message. */
export function withRequest(present: readonly Approval[], approval: Approval): readonly Approval[] {
  const index = present.findIndex((other) => keyOf(other) === keyOf(approval));
  return index === -1 ? [...present, approval] : present.with(index, approval);
}
