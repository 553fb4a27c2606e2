/** The events that the server reports to logs and metrics. The events that callers read are changes: see `changes/` and `change-log.ts`. */

/** Identifies the device of an event. Events carry ids, never content. */
export interface DeviceReference {
  readonly tenant: string;
  readonly environmentId: string;
  readonly deviceId: string;
  readonly connectionId: string;
}

/** Why a socket ended: by the device or the network (`closed`), or by the server. */
export type DisconnectReason =
  | "closed"
  | "replaced"
  | "silent"
  | "key_ended"
  | "policy_changed"
  | "removed"
  | "limit_exceeded"
  | "shutdown";

/** An event for logs and metrics. */
export type EnvironmentServerEvent =
  | ({ readonly type: "device_registered"; readonly keyId: string } & DeviceReference)
  | ({ readonly type: "device_connected" } & DeviceReference)
  | ({
      readonly type: "device_disconnected";
      /** WebSocket close code (RFC 6455 section 7.4). 1005: closed without a code. 1006: dropped without a close frame. */
      readonly code: number;
      readonly reason: DisconnectReason;
      /** With reason `limit_exceeded`: the limit in words. */
      readonly limit?: string;
      /** Number of frames that arrived on the socket. */
      readonly frames: number;
    } & DeviceReference)
  /** The device reported another mode, directory or branch. Sent at most once a second for a device. */
  | ({ readonly type: "device_changed" } & DeviceReference)
  /** A viewer opened its socket. */
  | ({ readonly type: "viewer_connected"; readonly keyId: string } & DeviceReference)
  /** The socket of a viewer ended. */
  | ({ readonly type: "viewer_disconnected"; readonly code: number } & DeviceReference)
  /** The device no longer belongs to a key; the next key that enrols it owns it. */
  | { readonly type: "device_released"; readonly tenant: string; readonly deviceId: string }
  /** The device was removed with all its rows. */
  | { readonly type: "device_removed"; readonly tenant: string; readonly deviceId: string }
  /** One row of the device was removed. */
  | ({ readonly type: "environment_removed" } & Omit<DeviceReference, "connectionId">)
  /** The display name or the tags of the device were changed. */
  | { readonly type: "device_labelled"; readonly tenant: string; readonly deviceId: string }
  /** A row was removed because its device has not connected for a long time. */
  | ({ readonly type: "environment_expired" } & Omit<DeviceReference, "connectionId">)
  /** A frame was not understood. Sent once for each broken rule on a socket. */
  | ({ readonly type: "frame_ignored"; readonly rule: string } & DeviceReference)
  | ({
      readonly type: "message_sent";
      readonly deliveryId: string;
      /** The trace of the request that sent it; absent without one. */
      readonly traceId?: string;
    } & DeviceReference)
  | ({
      readonly type: "message_acknowledged";
      readonly deliveryId: string;
      readonly accepted: boolean;
      readonly disposition: string | null;
      /** The caller had already received the response for an unknown delivery. */
      readonly late: boolean;
    } & DeviceReference)
  | ({
      readonly type: "message_unacknowledged";
      readonly deliveryId: string;
      readonly reason: "timeout" | "disconnected" | "shutdown";
    } & DeviceReference)
  /** A device asks for permission to use a tool. */
  | ({ readonly type: "approval_requested"; readonly toolCallId: string; readonly tool: string } & DeviceReference)
  /** A decision was sent to the device. */
  | ({
      readonly type: "approval_decided";
      readonly agentId: string;
      readonly conversationId: string;
      readonly toolCallId: string;
      readonly tool: string;
      readonly behavior: "allow" | "deny";
      /** Id of the key that decided, or `policy:` and the name of the policy. */
      readonly decidedBy: string;
      /** Whether the device has taken it. */
      readonly outcome: "accepted" | "unknown";
    } & DeviceReference)
  /** Before a message of a key, its conversation was asked to switch to the mode that the key sets. */
  | ({
      readonly type: "mode_switched";
      readonly agentId: string;
      readonly conversationId: string;
      readonly mode: string;
      readonly keyId: string;
      /** `done`: the device has reported the mode. */
      readonly outcome: "done" | "rejected" | "unknown";
    } & DeviceReference)
  /** The device no longer asks, and nobody decided here. */
  | ({ readonly type: "approval_withdrawn"; readonly toolCallId: string } & DeviceReference)
  /** Whether the turns of the device fail because this server has no agents API. */
  | ({ readonly type: "agents_api_missing"; readonly isMissing: boolean } & DeviceReference)
  | { readonly type: "request_failed" | "store_failed"; readonly operation: string; readonly cause: unknown };

/** Takes an event. It never throws. */
export type EmitEvent = (event: EnvironmentServerEvent) => void;

/** Wraps a listener so that its errors are ignored: a full log must not decide whether a message was delivered. */
export function createEmitter<Event>(listener: ((event: Event) => void) | undefined): (event: Event) => void {
  if (listener === undefined) return () => undefined;
  return (event) => {
    try {
      listener(event);
    } catch {
      // Errors are reported to the listener, so its own cannot be reported.
    }
  };
}
