/**
 * Streams of server-sent events (WHATWG HTML, section 9.2): the input of `streamEvents`, and the data of its events by type. This is an
 * extension: servers without it return 404 `endpoint_not_found`.
 */
import * as v from "valibot";
import type { Approval, DecidedApproval } from "./approval.ts";
import type { MessageStatus } from "./message-status.ts";
import { IdentifierSchema, wireObject, type WireObjectSchema } from "../base/wire-schema.ts";

/** The query of `streamEvents`. */
export interface StreamEventsQuery {
  /** Only events of this device. */
  deviceId?: string;
  /** `output`: also the output of turns. Needs the scope `view`. */
  include?: "output";
}

/** Schema of {@link StreamEventsQuery}. Unknown members are kept. */
export const StreamEventsQuerySchema: WireObjectSchema<StreamEventsQuery> = /* @__PURE__ */ wireObject(() => ({
  deviceId: v.exactOptional(IdentifierSchema),
  include: v.exactOptional(v.picklist(["output"], "must be output")),
}));

/** The header with the id of the last event that a client has received, in lower case. */
export const lastEventIdHeader = "last-event-id";

/** The media type of a stream of events. */
export const eventStreamMediaType = "text/event-stream";

/** The members of every event but `gap`. */
interface DeviceEvent {
  /** The device. */
  readonly deviceId: string;
  /** Connection of the device; `null` while it is offline. */
  readonly connectionId: string | null;
}

/** Data of an event `environment`: something about an environment has changed. */
export interface EnvironmentEvent extends DeviceEvent {
  /**
   * `id` and `deviceId`, and the members that differ from the last event of this environment: a merge patch (RFC 7396). Members
   * that need the scope `details`, and `lastHeartbeat` and `lastSeenAt`, are never part of it.
   */
  readonly environment: Readonly<Record<string, unknown>>;
  /** The environment no longer exists. */
  readonly removed?: true;
}

/** Data of an event `message`: the state or a detail of a message has changed. */
export interface MessageEvent extends DeviceEvent {
  /**
   * The message as it is now. The text of the turn is included only in streams with `include=output`. The last event of a message that was `received`
   * but could not be sent has the state `failed`.
   */
  readonly message: MessageStatus;
}

/**
 * Data of an event `approval`: a device asks for a permission, somebody or a policy has decided, or the device no longer asks. A request that
 * is `requested` again has the same `id` and replaces the earlier information, such as its message or its expiry.
 */
export type ApprovalEvent = DeviceEvent &
  (
    | { readonly change: "requested"; readonly approval: Omit<Approval, "ageMs"> }
    | { readonly change: "decided"; readonly approval: DecidedApproval }
    | { readonly change: "withdrawn"; readonly approval: Omit<Approval, "ageMs"> | DecidedApproval }
  );

/** Data of an event `output`: the next piece of a turn's output, in the order of the device. */
export interface OutputEvent extends DeviceEvent {
  /** `null` for a conversation without an agent. */
  readonly agentId: string | null;
  /** The conversation. */
  readonly conversationId: string;
  /** Unchanged from the device; its `message_type` says what it is. */
  readonly delta: Readonly<Record<string, unknown>>;
  /** The subagent that produced it; absent for the turn itself. */
  readonly subagentId?: string;
}

/** Data of an event `gap`: events between the last one and the next one are missing. */
export interface GapEvent {
  /**
   * `expired`: they are no longer kept. `output_expired`: only output is missing. `unknown`: the server does not know the id. `lost`: the server
   * could not store them.
   */
  readonly reason: "expired" | "output_expired" | "unknown" | "lost";
}
