/** What every event about a device names. Events carry ids only, never content. */
export interface DeviceReference {
  readonly tenant: string;
  readonly environmentId: string;
  readonly deviceId: string;
  readonly connectionId: string;
}

/** Why a socket ended: by itself, or by the server. */
export type DisconnectReason = "closed" | "replaced" | "silent" | "key_ended" | "shutdown";

/** Something that happened, for logs and metrics. */
export type EnvironmentServerEvent =
  | ({ readonly type: "device_registered"; readonly keyId: string } & DeviceReference)
  | ({ readonly type: "device_connected" } & DeviceReference)
  | ({
      readonly type: "device_disconnected";
      /** WebSocket close code (RFC 6455 section 7.4); 1005 and 1006 stand for none received and none sent. */
      readonly code: number;
      readonly reason: DisconnectReason;
    } & DeviceReference)
  /** The device said something new of itself: its mode, its directory, its branch. */
  | ({ readonly type: "device_changed" } & DeviceReference)
  | ({ readonly type: "frame_received"; readonly frameType: string } & DeviceReference)
  | ({ readonly type: "frame_ignored"; readonly rule: string } & DeviceReference)
  | ({ readonly type: "message_sent"; readonly deliveryId: string } & DeviceReference)
  | ({
      readonly type: "message_acknowledged";
      readonly deliveryId: string;
      readonly accepted: boolean;
      readonly disposition: string | null;
      /** The send had already been answered as unknown. */
      readonly late: boolean;
    } & DeviceReference)
  | ({
      readonly type: "message_unacknowledged";
      readonly deliveryId: string;
      readonly reason: "timeout" | "disconnected" | "shutdown";
    } & DeviceReference)
  | { readonly type: "request_failed"; readonly operation: string; readonly cause: unknown }
  | { readonly type: "store_failed"; readonly operation: string; readonly cause: unknown };

/** Takes an event. It never throws. */
export type EmitEvent = (event: EnvironmentServerEvent) => void;

/** Shields the server from a listener that throws: a log line must not decide whether a message was delivered. */
export function createEmitter(listener: EmitEvent | undefined): EmitEvent {
  if (listener === undefined) return () => undefined;
  return (event) => {
    try {
      listener(event);
    } catch {
      // Where events are reported is broken, so there is nowhere left to report it.
    }
  };
}
