/**
 * The fate of each message and each request for permission, as the devices themselves know it. The reports of the gateway are
 * compared with it: a report may be as old as a frame needs to arrive, and may say that nobody knows, but it may not be wrong.
 */
import type { Clock } from "@letta-environments/platform";
import { type Message, messageKey, type Truth } from "../truth.ts";

/** Where a message is at its device. `gone`: the process of the device was killed before the message had ended. */
export type Phase =
  | { readonly kind: "queued" | "running" | "waiting" | "removed" | "rejected" | "gone" }
  | {
      readonly kind: "ended";
      readonly stopReason: string;
      readonly text: string;
      /** A run of the turn has the message, which the device reports when it is asked. */
      readonly isListed: boolean;
    };

/** A message, as its device knows it. */
export interface MessageRecord {
  readonly message: Message;
  readonly phases: { readonly atMs: number; readonly phase: Phase }[];
}

/** A request for permission, as its device knows it. */
export interface RequestRecord {
  readonly tenant: string;
  readonly deviceId: string;
  readonly agentId: string;
  readonly toolCallId: string;
  readonly tool: string;
  readonly requestedAtMs: number;
  /** `null`: the device still waits. */
  end: { readonly atMs: number; readonly decision: "allow" | "deny" | null } | null;
}

/** The status of a message, as the gateway reports it. */
export interface ReportedStatus {
  readonly state: string;
  readonly stopReason?: string;
  readonly text?: string;
  readonly error?: string;
}

/** The members of {@link ConversationCounts}, in the order of reports. */
export const conversationCountNames = [
  "turns",
  "stopped",
  "requests",
  "decided",
  "late decisions",
  "statuses",
  "viewer frames",
  "read events",
  "gaps",
] as const;

/** Counts for reports: turns of devices and their requests for permission, and what the gateway reported of them. */
export type ConversationCounts = Record<(typeof conversationCountNames)[number], number>;

/** {@link ConversationCounts} of nothing. */
export const noConversationCounts: Readonly<ConversationCounts> = {
  turns: 0,
  stopped: 0,
  requests: 0,
  decided: 0,
  "late decisions": 0,
  statuses: 0,
  "viewer frames": 0,
  "read events": 0,
  gaps: 0,
};

/** See the description of this file. */
export interface DeviceRecord {
  readonly counts: ConversationCounts;
  readonly messages: ReadonlyMap<string, MessageRecord>;
  readonly requests: ReadonlyMap<string, RequestRecord>;
  note(message: Message, phase: Phase): void;
  /** The process of a device was killed: the next one knows nothing of its runs. */
  forgetRuns(tenant: string, deviceId: string): void;
  ask(request: Omit<RequestRecord, "requestedAtMs" | "end">): void;
  /** The device has taken a decision, or no longer waits (`null`). */
  endRequest(tenant: string, toolCallId: string, decision: "allow" | "deny" | null): void;
  /** Reports a violation if the status contradicts the record. The request for it began at `beganAtMs`. */
  checkStatus(message: Message, reported: ReportedStatus, beganAtMs: number): void;
}

/** The longest time that a frame may be in flight, in milliseconds, with a margin. */
const lagMs = 60;

/** Creates an empty {@link DeviceRecord}. */
export function createDeviceRecord(clock: Pick<Clock, "monotonic">, truth: Truth): DeviceRecord {
  const messages = new Map<string, MessageRecord>();
  const requests = new Map<string, RequestRecord>();
  const counts: ConversationCounts = { ...noConversationCounts };
  function note(message: Message, phase: Phase): void {
    const key = messageKey(message);
    const record = messages.get(key) ?? { message, phases: [] };
    messages.set(key, record);
    record.phases.push({ atMs: clock.monotonic(), phase });
  }
  return {
    counts,
    messages,
    requests,
    note,
    forgetRuns(tenant, deviceId) {
      for (const { message, phases } of messages.values()) {
        const last = phases.at(-1)?.phase;
        if (message.tenant === tenant && message.deviceId === deviceId && last?.kind === "ended")
          note(message, { ...last, isListed: false });
      }
    },
    ask(request) {
      counts.requests += 1;
      requests.set(requestKey(request), { ...request, requestedAtMs: clock.monotonic(), end: null });
    },
    endRequest(tenant, toolCallId, decision) {
      const request = requests.get(requestKey({ tenant, toolCallId }));
      if (request === undefined) return truth.violate(`${tenant}: a decision on ${toolCallId}, which was not asked`);
      if (decision !== null) counts.decided += 1;
      request.end ??= { atMs: clock.monotonic(), decision };
    },
    checkStatus(message, reported, beganAtMs) {
      counts.statuses += 1;
      const key = messageKey(message);
      const contradiction = findContradiction(messages.get(key)?.phases ?? [], reported, beganAtMs - lagMs);
      if (contradiction !== null) truth.violate(`${key} is reported as ${JSON.stringify(reported)}: ${contradiction}`);
    },
  };
}

/** A key for a request: the ids of tool calls are unique within a tenant. */
export function requestKey({ tenant, toolCallId }: Pick<RequestRecord, "tenant" | "toolCallId">): string {
  return `${tenant}/${toolCallId}`;
}

/** Returns how a status contradicts the phases; `null` when it does not. It may be as old as `sinceMs`. */
function findContradiction(
  phases: MessageRecord["phases"],
  { state, stopReason, text, error }: ReportedStatus,
  sinceMs: number,
): string | null {
  const recent = phases.filter((_phase, index) => (phases[index + 1]?.atMs ?? Infinity) >= sinceMs);
  const was = (...kinds: readonly Phase["kind"][]): boolean => recent.some(({ phase }) => kinds.includes(phase.kind));
  const last = phases.at(-1)?.phase;
  const history = `the device has ${JSON.stringify(phases.map(({ phase }) => phase))}`;
  switch (state) {
    case "received":
    case "sent":
    case "unknown":
      return null;
    case "accepted":
      return phases.length > 0 && was("queued", "running", "waiting") ? null : history;
    case "running":
      return was("running") ? null : history;
    case "waiting_for_approval":
      return was("waiting") ? null : history;
    case "failed":
      return last?.kind === "rejected" || error === "The message was not sent." ? null : history;
    case "cancelled":
      return last?.kind === "removed" || (last?.kind === "ended" && last.stopReason === "cancelled") ? null : history;
    case "finished": {
      if (last?.kind !== "ended") return history;
      if (stopReason !== "unknown" && stopReason !== last.stopReason) return history;
      return text === undefined || last.text.includes(text) ? null : history;
    }
    default:
      return history;
  }
}
