import type { PendingDeliveries } from "../delivery/pending-deliveries.ts";
import type { EmitEvent } from "../events.ts";
import type { DeviceStatus } from "../ports.ts";
import { pongFrame } from "./build-frame.ts";
import { changeStatus, type DeviceConnection } from "./device-connection.ts";
import { type DeviceFrame, parseFrame } from "./parse-frame.ts";

/** What a frame can act on. */
export interface FrameContext {
  /** The socket is the row's present one. An older one can still acknowledge what it was sent, and nothing else. */
  readonly current: boolean;
  readonly nowMs: number;
  readonly pending: PendingDeliveries;
  readonly emit: EmitEvent;
  readonly send: (connection: DeviceConnection, text: string) => void;
  readonly saveStatus: (connection: DeviceConnection, status: DeviceStatus) => void;
}

/** Takes a text frame from a device. Nothing that a device sends makes it throw. */
export function receiveFrame(text: string, connection: DeviceConnection, context: FrameContext): void {
  const frame = parseFrame(text);
  if (frame.kind === "invalid") {
    context.emit({ type: "frame_ignored", ...connection.device, rule: frame.rule });
    return;
  }
  const frameType = frame.kind === "other" ? frame.type : frame.kind;
  context.emit({ type: "frame_received", ...connection.device, frameType });
  if (frame.kind === "input_accepted") acknowledge(frame, connection, context);
  if (!context.current) return;
  connection.lastSeenMs = context.nowMs;
  switch (frame.kind) {
    case "ping":
      connection.lastHeartbeatMs = context.nowMs;
      context.send(connection, pongFrame);
      break;
    case "update_device_status": {
      if (frame.change.currentMode !== undefined) connection.toldMode = frame.change.currentMode;
      const status = changeStatus(connection.status, frame.change);
      if (status === connection.status) break;
      connection.status = status;
      context.saveStatus(connection, status);
      break;
    }
    case "update_queue":
      connection.queues.report(frame.runtime, frame.messageIds);
      break;
    case "input_accepted":
    case "other":
      break;
  }
}

function acknowledge(
  frame: DeviceFrame & { readonly kind: "input_accepted" },
  connection: DeviceConnection,
  { pending }: FrameContext,
): void {
  const { disposition, error } = frame;
  const sent = pending.acknowledge(
    connection.device,
    frame.requestId,
    frame.accepted ? { kind: "accepted", disposition } : { kind: "rejected", error },
  );
  if (sent !== undefined && frame.accepted && disposition === "queued") {
    connection.queues.accept(sent.delivery.scope, sent.delivery.messageIds);
  }
}
