/** The frames of one device: admits them within the limits, parses them, and updates the state of the connection and of the parts that follow devices. */
import type { PlainSocketListener } from "@letta-environments/schema";
import { namedSends } from "../delivery/implied.ts";
import { pongFrame } from "../dialects/build.ts";
import type { Conversation } from "../dialects/conversation.ts";
import type { AcknowledgementFrame, DeviceFrame, LoopFrame, QueueFrame } from "../dialects/frame.ts";
import { checkParsingCost, classifyUnparsed, parseFrame, readLongFrame } from "../dialects/parse.ts";
import { maxFrameBytes, maxParsedLength } from "../limits.ts";
import type { DeliveryOutcome } from "../ports.ts";
import { changeStatus, type DeviceConnection, momentOf } from "./connection.ts";
import { drop, holderOf, recordViolation, closeForViolation, send } from "./close.ts";
import { type FollowedFrame, type HubState, isCurrent } from "./hub-state.ts";
import type { QueueLedger } from "./queue-ledger.ts";

/** Listens to a socket that was closed when it opened. */
export const ignoredSocket: PlainSocketListener = {
  maxFrameBytes,
  maxTextBytes: 0,
  onMessage: () => undefined,
  onOtherFrame: () => false,
  onClose: () => undefined,
};

/** Creates the listener of a connection. */
export function listen(hub: HubState, connection: DeviceConnection): PlainSocketListener {
  const admit = (length: number): boolean => {
    if (hub.closingConnections.has(connection) || !hub.traffic.admit(connection.traffic, length)) return false;
    connection.frameCount += 1;
    return true;
  };
  return {
    maxFrameBytes,
    // A character has at most three bytes, so a longer text is not parsed.
    maxTextBytes: 3 * maxParsedLength,
    onMessage(text) {
      if (!admit(text.length)) return;
      receiveText(hub, connection, text);
      if (isCurrent(hub, connection)) hub.watch.received(connection.device.environmentId, text);
    },
    onLongText(byteLength, start, end) {
      if (!admit(byteLength)) return;
      receive(hub, connection, readLongFrame(start, end), 0);
      if (isCurrent(hub, connection)) hub.watch.receivedLong(connection.device.environmentId, start);
    },
    // Binary data and pings of the WebSocket protocol are ignored, but count against the limits.
    onOtherFrame: admit,
    onClose(code, limit) {
      hub.closingConnections.get(connection)?.();
      hub.closingConnections.delete(connection);
      hub.traffic.close(connection.traffic);
      if (limit === undefined) return drop(hub, connection, { reason: "closed", code });
      recordViolation(hub, connection, "limit");
      drop(hub, connection, { reason: "limit_exceeded", code, limit });
    },
  };
}

/** Handles a text frame of a connection. It never throws. */
function receiveText(hub: HubState, connection: DeviceConnection, text: string): void {
  const recognised = classifyUnparsed(text);
  const isRead = recognised?.kind !== "invalid" && hub.output.wantsOutput(connection.device, text);
  // Output is parsed only for its readers, so its cost has not been checked.
  const refused = isRead && recognised !== null ? checkParsingCost(text) : null;
  if (refused !== null) return receive(hub, connection, refused, text.length);
  // This call closes the socket of a device over its limit.
  if ((isRead || recognised === null) && !hub.traffic.admitParsing(connection.traffic, text.length)) return;
  if (isRead && isCurrent(hub, connection)) hub.output.recordOutput(connection.device, text);
  receive(hub, connection, recognised ?? parseFrame(text), text.length);
}

function receive(hub: HubState, connection: DeviceConnection, frame: DeviceFrame, length: number): void {
  if (frame.kind === "invalid") return reportInvalid(hub, connection, frame.rule);
  if (frame.kind === "input_accepted") acknowledge(hub, connection, frame);
  if (!isCurrent(hub, connection)) return;
  const now = momentOf(hub.clock);
  connection.lastSeen = now;
  switch (frame.kind) {
    case "ping":
      connection.lastHeartbeat = now;
      send(hub, connection, pongFrame);
      return;
    case "update_device_status": {
      if (!follow(hub, connection, frame)) return;
      const status = changeStatus(connection.status, frame.change);
      return status === connection.status ? undefined : hub.writes.changeStatus(connection, status);
    }
    case "update_queue":
      inferAcknowledgements(hub, connection, frame);
      if (!follow(hub, connection, frame)) return;
      confirmListed(hub, connection, frame.runtime, frame.messageIds);
      return reportQueue(hub, connection, frame, length);
    case "update_loop_status":
      inferAcknowledgements(hub, connection, frame);
      if (!follow(hub, connection, frame)) return;
      return confirmListed(
        hub,
        connection,
        frame.runtime,
        (frame.runs ?? []).flatMap(({ messageIds }) => messageIds),
      );
    case "command_response":
    case "loop_error":
    case "turn_finished":
    case "assistant_text":
    case "control_request":
      follow(hub, connection, frame);
      return;
    case "input_accepted":
    case "other":
  }
}

/** Passes a frame to the parts that follow devices. Returns whether the socket is still open: a frame that changes too much closes it. */
function follow(hub: HubState, connection: DeviceConnection, frame: FollowedFrame): boolean {
  for (const follower of hub.followers) if (isCurrent(hub, connection)) follower.received?.(connection, frame);
  return isCurrent(hub, connection);
}

/** Takes the ids of messages that a device lists for a conversation. */
function confirmListed(
  { pending }: HubState,
  { device, unresolved }: DeviceConnection,
  conversation: Conversation,
  messageIds: readonly (string | null)[],
): void {
  if (unresolved === null) return;
  for (const deliveryId of unresolved.confirm(conversation, messageIds)) pending.confirm(device, deliveryId);
}

/** @param length of the frame, in characters: it repeats the messages */
function reportQueue(
  hub: HubState,
  connection: DeviceConnection,
  { runtime, messageIds }: QueueFrame,
  length: number,
): void {
  // An empty queue is the usual one.
  if (connection.queues === null && messageIds.length === 0) return;
  const limit = queuesOf(hub, connection).report(runtime, messageIds, length);
  if (limit !== null) closeForViolation(hub, connection, limit, "limit");
}

function queuesOf(hub: HubState, connection: DeviceConnection): QueueLedger {
  return (connection.queues ??= hub.ledgers.create(holderOf(hub, connection)));
}

function reportInvalid({ emit }: HubState, connection: DeviceConnection, rule: string): void {
  if (connection.reportedRules.has(rule)) return;
  connection.reportedRules = new Set([...connection.reportedRules, rule]);
  emit({ type: "frame_ignored", ...connection.device, rule });
}

/** Infers from a report the acknowledgements of sends that wait for one; see `delivery/implied.ts`. */
function inferAcknowledgements(hub: HubState, connection: DeviceConnection, frame: QueueFrame | LoopFrame): void {
  const { environmentId } = connection.device;
  const waiting = hub.pending.listWaiting(environmentId);
  const started = connection.detectStart?.(frame, waiting, hub.clock.monotonic()) ?? null;
  if (waiting.length === 0) return;
  const named = namedSends(frame, waiting);
  if (connection.acknowledgementSupport === "yes") {
    for (const { deliveryId, disposition } of named) hub.pending.recordReport(environmentId, deliveryId, disposition);
    return;
  }
  for (const { deliveryId, disposition } of started === null || named.length > 0 ? named : [started]) {
    applyAcknowledgement(hub, connection, deliveryId, { kind: "accepted", disposition });
  }
}

function acknowledge(
  hub: HubState,
  connection: DeviceConnection,
  { requestId, accepted, disposition, error }: AcknowledgementFrame,
): void {
  connection.acknowledgementSupport = "yes";
  const outcome = accepted ? ({ kind: "accepted", disposition } as const) : ({ kind: "rejected", error } as const);
  applyAcknowledgement(hub, connection, requestId, outcome);
}

function applyAcknowledgement(
  hub: HubState,
  connection: DeviceConnection,
  deliveryId: string,
  outcome: DeliveryOutcome,
): void {
  const sent = hub.pending.acknowledge(connection.device, deliveryId, outcome);
  if (sent === undefined || sent.isDecision || outcome.kind !== "accepted" || outcome.disposition !== "queued") return;
  queuesOf(hub, connection).accept(sent.delivery.scope, sent.delivery.messageIds, sent.length);
}
