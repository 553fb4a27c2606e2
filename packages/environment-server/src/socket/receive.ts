/** Handles the frames of one device: parses them and updates the state of the connection. */
import type { Clock } from "@letta-environments/platform";
import type { DeviceCommands } from "../commands/device-commands.ts";
import type { PendingDeliveries } from "../delivery/pending.ts";
import { mayBeFailureNotice, parseFailureNotice } from "../dialects/command-frames.ts";
import type { EmitEvent } from "../events.ts";
import type { DeviceStatus } from "../ports.ts";
import { changeStatus, type DeviceConnection, momentOf } from "./connection.ts";
import { type DeviceFrame, type FrameRuntime, parseFrame, pongFrame, skipFrame } from "./frames.ts";
import type { QueueLedger } from "./queue-ledger.ts";
import type { Traffic } from "./traffic.ts";

/** The parts of the server that a frame can affect. */
export interface FrameEffects {
  readonly clock: Clock;
  readonly pending: PendingDeliveries;
  readonly commands: DeviceCommands;
  readonly traffic: Pick<Traffic, "admitParsing">;
  readonly emit: EmitEvent;
  queuesOf(connection: DeviceConnection): QueueLedger;
  /** Returns true for the present socket of a row. An earlier one may only acknowledge what it was sent. */
  isCurrent(connection: DeviceConnection): boolean;
  send(connection: DeviceConnection, text: string): void;
  changeStatus(connection: DeviceConnection, status: DeviceStatus): void;
  reportQueue(connection: DeviceConnection, frame: DeviceFrame & { readonly kind: "update_queue" }): void;
  /** Takes the ids of messages that a device lists for a conversation: it has them. */
  listMessages(connection: DeviceConnection, runtime: FrameRuntime, messageIds: readonly (string | null)[]): void;
}

/** Handles a text frame of a connection. It never throws. */
export function receiveText(text: string, connection: DeviceConnection, effects: FrameEffects): void {
  const skipped = skipFrame(text);
  // A device over its limit is closed by this call.
  if (skipped === null && !effects.traffic.admitParsing(connection.traffic, text.length)) return;
  if (skipped?.kind === "other") receiveFailure(text, connection, effects);
  receive(skipped ?? parseFrame(text), connection, effects);
}

/** Reads a frame that is skipped otherwise, while a command waits that it could end. */
function receiveFailure(
  text: string,
  connection: DeviceConnection,
  { commands, traffic, isCurrent }: FrameEffects,
): void {
  const { environmentId } = connection.device;
  if (!commands.isChanging(environmentId) || !mayBeFailureNotice(text) || !isCurrent(connection)) return;
  if (!traffic.admitParsing(connection.traffic, text.length)) return;
  const notice = parseFailureNotice(text);
  if (notice !== null) commands.failed(environmentId, notice);
}

function receive(frame: DeviceFrame, connection: DeviceConnection, effects: FrameEffects): void {
  if (frame.kind === "invalid") return reportInvalid(frame.rule, connection, effects);
  if (frame.kind === "input_accepted") acknowledge(frame, connection, effects);
  if (!effects.isCurrent(connection)) return;
  const now = momentOf(effects.clock);
  connection.lastSeen = now;
  switch (frame.kind) {
    case "ping":
      connection.lastHeartbeat = now;
      return effects.send(connection, pongFrame);
    case "update_device_status": {
      connection.hasReportedStatus = true;
      reportState(frame, connection, effects);
      const status = changeStatus(connection.status, frame.change);
      return status === connection.status ? undefined : effects.changeStatus(connection, status);
    }
    case "update_queue":
      effects.listMessages(connection, frame.runtime, frame.messageIds);
      return effects.reportQueue(connection, frame);
    case "update_loop_status":
      return effects.listMessages(connection, frame.runtime, frame.messageIds);
    case "command_response":
      return effects.commands.responded(connection.device.environmentId, frame);
    case "input_accepted":
    case "other":
  }
}

function reportState(
  { runtime, change, directoryRevision }: DeviceFrame & { readonly kind: "update_device_status" },
  { device }: DeviceConnection,
  { commands }: FrameEffects,
): void {
  const { currentMode: mode, workingDirectory: directory } = change;
  commands.reported(device.environmentId, runtime, {
    revision: directoryRevision,
    ...(mode !== undefined && { mode }),
    ...(directory !== undefined && { directory }),
  });
}

function reportInvalid(rule: string, connection: DeviceConnection, { emit }: FrameEffects): void {
  if (connection.brokenRules.has(rule)) return;
  connection.brokenRules = new Set([...connection.brokenRules, rule]);
  emit({ type: "frame_ignored", ...connection.device, rule });
}

function acknowledge(
  { requestId, accepted, disposition, error }: DeviceFrame & { readonly kind: "input_accepted" },
  connection: DeviceConnection,
  { pending, queuesOf }: FrameEffects,
): void {
  const outcome = accepted ? ({ kind: "accepted", disposition } as const) : ({ kind: "rejected", error } as const);
  const sent = pending.acknowledge(connection.device, requestId, outcome);
  if (sent !== undefined && !sent.isDecision && accepted && disposition === "queued") {
    queuesOf(connection).accept(sent.delivery.scope, sent.delivery.messageIds);
  }
}
