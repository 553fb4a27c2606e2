/** Handles the frames of one device: parses them and updates the state of the connection. */
import type { Clock } from "@letta-environments/platform";
import { namedSends, startedSend } from "../delivery/implied.ts";
import type { PendingDeliveries } from "../delivery/pending.ts";
import { pongFrame } from "../dialects/build.ts";
import type { Conversation } from "../dialects/conversation.ts";
import type { AcknowledgementFrame, DeviceFrame, LoopFrame, QueueFrame } from "../dialects/frame.ts";
import { parseFrame, readLongFrame, refuseCost, skipFrame } from "../dialects/parse.ts";
import type { EmitEvent } from "../events.ts";
import type { DeliveryOutcome, DeviceStatus } from "../ports.ts";
import { changeStatus, type DeviceConnection, momentOf } from "./connection.ts";
import type { FollowedFrame, OutputReader } from "./followers.ts";
import type { QueueLedger } from "./queue-ledger.ts";
import type { Traffic } from "./traffic.ts";

/** The parts of the server that a frame can affect. */
export interface FrameEffects {
  readonly clock: Clock;
  readonly pending: PendingDeliveries;
  readonly traffic: Pick<Traffic, "admitParsing">;
  readonly output: OutputReader;
  readonly emit: EmitEvent;
  /** Passes a frame on to the parts that follow devices. */
  follow(connection: DeviceConnection, frame: FollowedFrame): void;
  queuesOf(connection: DeviceConnection): QueueLedger;
  /** Returns true for the present socket of a row. An earlier one may only acknowledge its own sends. */
  isCurrent(connection: DeviceConnection): boolean;
  send(connection: DeviceConnection, text: string): void;
  changeStatus(connection: DeviceConnection, status: DeviceStatus): void;
  /** @param length of the frame, in characters: it repeats the messages */
  reportQueue(connection: DeviceConnection, frame: QueueFrame, length: number): void;
  /** Takes the ids of messages that a device lists for a conversation: it has them. */
  listMessages(connection: DeviceConnection, runtime: Conversation, messageIds: readonly (string | null)[]): void;
}

/** Handles a text frame of a connection. It never throws. */
export function receiveText(text: string, connection: DeviceConnection, effects: FrameEffects): void {
  const { output } = effects;
  const recognised = skipFrame(text);
  const hasReader = recognised?.kind !== "invalid" && output.readsOutput(connection.device, text);
  // Output that is parsed only for its readers.
  const skipped = hasReader && recognised !== null ? (refuseCost(text) ?? recognised) : recognised;
  const hasOutput = hasReader && skipped?.kind !== "invalid";
  // A device over its limit is closed by this call.
  if ((skipped === null || hasOutput) && !effects.traffic.admitParsing(connection.traffic, text.length)) return;
  if (hasOutput && effects.isCurrent(connection)) output.output(connection.device, text);
  receive(skipped ?? parseFrame(text), text.length, connection, effects);
}

/** Handles a text that is too long to be parsed, from its start and its end. It never throws. */
export function receiveLongText(start: string, end: string, connection: DeviceConnection, effects: FrameEffects): void {
  receive(readLongFrame(start, end), 0, connection, effects);
}

function receive(frame: DeviceFrame, length: number, connection: DeviceConnection, effects: FrameEffects): void {
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
      effects.follow(connection, frame);
      const status = changeStatus(connection.status, frame.change);
      return status === connection.status ? undefined : effects.changeStatus(connection, status);
    }
    case "update_queue":
      inferAcknowledgements(frame, connection, effects);
      effects.follow(connection, frame);
      effects.listMessages(connection, frame.runtime, frame.messageIds);
      return effects.reportQueue(connection, frame, length);
    case "update_loop_status":
      inferAcknowledgements(frame, connection, effects);
      effects.follow(connection, frame);
      return effects.listMessages(
        connection,
        frame.runtime,
        (frame.runs ?? []).flatMap(({ messageIds }) => messageIds),
      );
    case "command_response":
    case "loop_error":
    case "turn_finished":
    case "assistant_text":
    case "control_request":
      return effects.follow(connection, frame);
    case "input_accepted":
    case "other":
  }
}

function reportInvalid(rule: string, connection: DeviceConnection, { emit }: FrameEffects): void {
  if (connection.brokenRules.has(rule)) return;
  connection.brokenRules = new Set([...connection.brokenRules, rule]);
  emit({ type: "frame_ignored", ...connection.device, rule });
}

/** Applies what a report says about sends that wait for an acknowledgement; see `delivery/implied.ts`. */
function inferAcknowledgements(
  frame: QueueFrame | LoopFrame,
  connection: DeviceConnection,
  effects: FrameEffects,
): void {
  const { environmentId } = connection.device;
  const isStart = frame.kind === "update_loop_status" && connection.loops?.isStart(frame) === true;
  const waiting = effects.pending.waiting(environmentId);
  if (waiting.length === 0) return;
  const named = namedSends(frame, waiting);
  if (connection.acknowledging === "yes") {
    for (const { deliveryId, disposition } of named)
      effects.pending.noteReported(environmentId, deliveryId, disposition);
    return;
  }
  const started = isStart && named.length === 0 ? startedSend(frame.runtime, waiting) : null;
  for (const { deliveryId, disposition } of started === null ? named : [started]) {
    conclude(deliveryId, { kind: "accepted", disposition }, connection, effects);
  }
}

function acknowledge(
  { requestId, accepted, disposition, error }: AcknowledgementFrame,
  connection: DeviceConnection,
  effects: FrameEffects,
): void {
  connection.acknowledging = "yes";
  const outcome = accepted ? ({ kind: "accepted", disposition } as const) : ({ kind: "rejected", error } as const);
  conclude(requestId, outcome, connection, effects);
}

function conclude(
  deliveryId: string,
  outcome: DeliveryOutcome,
  connection: DeviceConnection,
  { pending, queuesOf }: FrameEffects,
): void {
  const sent = pending.acknowledge(connection.device, deliveryId, outcome);
  if (sent === undefined || sent.isDecision || outcome.kind !== "accepted" || outcome.disposition !== "queued") return;
  queuesOf(connection).accept(sent.delivery.scope, sent.delivery.messageIds, sent.length);
}
