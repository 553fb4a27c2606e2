/**
 * The state that the parts of the tracker share: the pending requests, where they are stored, and who is notified of their changes. Also
 * contains the changes that several parts make.
 */
import type { Clock, Sha256 } from "@letta-environments/platform";
import type { ApprovalPolicy } from "@letta-environments/schema";
import {
  type ApprovalKey,
  type ApprovalLog,
  type Decision,
  keyOf,
  serialiseKey,
  type StoredApproval,
} from "../approval-log.ts";
import type { Groups } from "../collections.ts";
import type { DeviceReference, EmitEvent } from "../log-events.ts";
import { approvalRequestWaitMs } from "../limits.ts";
import type { MessageTracker } from "../messages/tracker.ts";
import type { DenialResult, PolicyEnforcement } from "./enforcement.ts";
import type { PendingApproval, PendingApprovals } from "./pending.ts";
import type { RequestSet, UnreadRows } from "./not-pending.ts";
import type { ApprovalWriter } from "./writer.ts";

/**
 * A change of a request. `requested`: a device asks, or the message or the expiry of a pending request has become known. `withdrawn`: nobody decided here,
 * and the device no longer asks, or the request was evicted because there are too many.
 */
type ApprovalChange = "requested" | "decided" | "withdrawn";

/** A connected device. */
export interface ApprovalDevice {
  readonly device: DeviceReference;
  /** Devices of one owner share a limit. */
  readonly owner: string;
  /** Policy of the key with which the device connected. */
  readonly policy: ApprovalPolicy | null;
  /** Whether the device asks in a frame for each request. Devices before 0.30 only list their requests in their status. */
  readonly asksInFrames: () => boolean;
  /** Counts a request that is new or that asks for something else. The socket of a device with too many is closed. */
  readonly countRequest: () => void;
}

export interface ApprovalTrackerOptions extends Pick<MessageTracker, "triggerOf" | "policiesOf"> {
  readonly clock: Clock;
  readonly sha256: Sha256;
  readonly log: ApprovalLog;
  readonly emit: EmitEvent;
  /** Wall time. */
  readonly wallNow: () => number;
  /** Called with every change. */
  readonly onChange: (change: ApprovalChange, approval: StoredApproval) => void;
  /** Denies a request that a policy denies now. Never rejects. */
  readonly deny: (approval: StoredApproval) => Promise<DenialResult>;
  /** A device no longer lists a request whose decision was sent: it has read the decision, or the turn has ended, with or without reading it. */
  readonly onWithdrawnAfterDecision: (environmentId: string, deliveryId: string, isTurnOver: boolean) => void;
}

export interface ApprovalState extends ApprovalTrackerOptions {
  readonly pending: PendingApprovals;
  readonly writer: ApprovalWriter;
  readonly enforcement: PolicyEnforcement;
  /** Callers that wait until a request is made, by its key. */
  readonly waiters: Groups<() => void>;
  /** Connected devices by their rows. */
  readonly devices: Map<string, ApprovalDevice>;
  /** Rows with requests beyond a limit. */
  readonly incomplete: Set<string>;
  /** Requests that only a status has listed, and that nobody may decide before their device asks: a policy may deny them. */
  readonly withheld: RequestSet;
  /** Rows whose messages have not been read. All their requests are withheld. */
  readonly unread: UnreadRows;
  /** Requests for which a device has asked, and for which there was no room. */
  readonly askedUntracked: RequestSet;
  /** The sequence number of the latest request. A device that asks for something else under a known id makes another one. */
  readonly sequence: { last: number };
}

/** Adds a request. Returns `null` when a limit is reached. */
export function add(
  { pending, enforcement, sequence, sha256 }: ApprovalState,
  approval: StoredApproval,
  owner: string,
): PendingApproval | null {
  const entry = pending.add(approval, owner, sha256(serialiseKey(keyOf(approval))).slice(0, cursorDigestLength));
  if (entry === null) return null;
  entry.sequence = ++sequence.last;
  enforcement.schedule(entry);
  return entry;
}

/** Long enough to distinguish two requests of the same millisecond. */
const cursorDigestLength = 24;

/** Forgets a request. */
export function remove({ pending, enforcement }: ApprovalState, entry: PendingApproval): void {
  enforcement.cancel(entry);
  pending.remove(entry);
}

/** The device no longer asks, and nobody has decided. `device`: `undefined` while it is not connected. */
export function withdraw(state: ApprovalState, device: DeviceReference | undefined, entry: PendingApproval): void {
  const { approval } = entry;
  remove(state, entry);
  state.writer.remove(approval);
  if (device !== undefined)
    state.emit({ type: "approval_withdrawn", ...device, toolCallId: approval.request.toolCallId });
  state.onChange("withdrawn", approval);
}

/** Emits the event of a decision that was sent. */
export function emitDecided(
  { emit }: ApprovalState,
  { device }: ApprovalDevice,
  { scope: { agentId, conversationId }, request: { toolCallId, tool } }: StoredApproval,
  facts: Pick<Decision, "behavior" | "decidedBy"> & { readonly outcome: "accepted" | "unknown" },
): void {
  emit({ type: "approval_decided", ...device, agentId, conversationId, toolCallId, tool, ...facts });
}

/** Resolves when a request is made, or after {@link approvalRequestWaitMs}. */
export function waitForRequest({ waiters, clock }: ApprovalState, key: ApprovalKey): Promise<void> {
  const text = serialiseKey(key);
  return new Promise((resolve) => {
    const end = (): void => {
      cancel();
      waiters.delete(text, end);
      resolve();
    };
    const cancel = clock.setTimer(approvalRequestWaitMs, end);
    waiters.add(text, end);
  });
}
