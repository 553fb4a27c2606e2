/**
 * The parts of a device's frames that this server understands, without the vendor's names. Everything else in a frame is ignored. Texts from a
 * device are bounded, and free of control characters if they are shown as one line.
 */
import type { ApprovalRequest } from "../approval-log.ts";
import type { TurnUsage } from "../message-log.ts";
import type { DeviceStatus } from "../ports.ts";
import type { CommandResponse, HandledResponse } from "./command-frames.ts";
import type { Conversation } from "./conversation.ts";
import type { InvalidFrame } from "./values.ts";

/** The members of a device's status that a frame changes. `null` removes a value. */
export type StatusChange = { -readonly [Name in keyof DeviceStatus]?: DeviceStatus[Name] };

/** A frame whose conversation is known. */
interface Scoped {
  readonly runtime: Conversation;
}

/** The acknowledgement of an `input` frame. */
export interface AcknowledgementFrame {
  readonly kind: "input_accepted";
  readonly requestId: string;
  readonly accepted: boolean;
  readonly disposition: string | null;
  readonly error: string | null;
}

/** A message that left a queue: into a turn (`dequeued`), or without one (`cancelled`). */
export interface QueueRemoval {
  readonly messageId: string;
  readonly disposition: "dequeued" | "cancelled";
}

/** The whole queue of a conversation. An input with several messages is one item, with the id of its first message. */
export interface QueueFrame extends Scoped {
  readonly kind: "update_queue";
  /** Id of each queued item; `null` for an item that no caller sent. */
  readonly messageIds: readonly (string | null)[];
  /** Items that left the queue since the last report; `null` for devices that do not report it. */
  readonly removed: readonly QueueRemoval[] | null;
}

/** The state of the loop of a conversation. */
export interface LoopFrame extends Scoped {
  readonly kind: "update_loop_status";
  /** `idle`: no turn runs. `waiting`: the turn waits for an approval. `null`: not reported, or a command runs. */
  readonly activity: "idle" | "active" | "waiting" | null;
  readonly activeRunIds: readonly string[];
  /** Messages that the latest runs have consumed, the oldest run first; `null` for devices that do not report it. */
  readonly runs: readonly { readonly runId: string; readonly messageIds: readonly string[] }[] | null;
}

/** A turn has ended. */
export interface TurnFinishedFrame extends Scoped {
  readonly kind: "turn_finished";
  /** The last run of the turn; `null` when it ended before a run. */
  readonly runId: string | null;
  /** Such as `end_turn`, `cancelled` or `error`; `null` when it is not a word. The turn has ended in either case. */
  readonly stopReason: string | null;
  readonly error: string | null;
  readonly usage: TurnUsage | null;
}

/** Something went wrong in a conversation. */
export interface LoopErrorFrame extends Scoped {
  readonly kind: "loop_error";
  readonly message: string;
  readonly stopReason: string | null;
  /** The turn ends because of it. */
  readonly isTerminal: boolean;
  /** The error belongs to a turn, even one that continues. Otherwise the device could not execute something that it was sent. */
  readonly isOfTurn: boolean;
}

/** Text of the assistant, whole or the next piece of it. Pieces of one message have the same id. */
interface AssistantTextFrame extends Scoped {
  readonly kind: "assistant_text";
  readonly id: string | null;
  readonly text: string;
  /** Identifies the frame, which may be repeated; `null` if the device gives it none. */
  readonly key: string | null;
}

/** A turn asks for permission to use a tool. */
interface ApprovalRequestFrame extends Scoped {
  readonly kind: "control_request";
  readonly request: ApprovalRequest;
}

/** The status of the device, as of one conversation. */
export interface StatusFrame {
  readonly kind: "update_device_status";
  readonly change: StatusChange;
  /** `null` when the frame does not name a conversation. */
  readonly runtime: Conversation | null;
  /** Number of changes of a directory that the device has made or refused; `null` when it does not count them. */
  readonly directoryRevision: number | null;
  /** All requests for permission that wait in the conversation; `null` when the frame does not say. */
  readonly pending: readonly ApprovalRequest[] | null;
}

/** A parsed frame from a device. */
export type DeviceFrame =
  | { readonly kind: "ping" }
  | AcknowledgementFrame
  | StatusFrame
  | TurnFrame
  | CommandResponse
  | HandledResponse
  /** A well-formed frame of another type. */
  | { readonly kind: "other"; readonly type: string }
  | InvalidFrame;

/** A frame that says something about the turns of a conversation. */
export type TurnFrame =
  | QueueFrame
  | LoopFrame
  | TurnFinishedFrame
  | LoopErrorFrame
  | AssistantTextFrame
  | ApprovalRequestFrame;
