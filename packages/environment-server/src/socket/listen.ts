/** Listens to the socket of a device: admits its frames within the limits, and applies them to the parts of the server. */
import type { PlainSocketListener } from "@letta-environments/schema";
import { maxFrameBytes, maxParsedLength } from "../limits.ts";
import { type DeviceConnection, ownerOf } from "./connection.ts";
import { drop, punish, refuse, send } from "./ends.ts";
import { type HubState, isCurrent } from "./hub-state.ts";
import type { QueueHolder, QueueLedger } from "./queue-ledger.ts";
import { type FrameEffects, receiveLongText, receiveText } from "./receive.ts";

/** Listens to a socket that was closed when it opened. */
export const ignoredSocket: PlainSocketListener = {
  maxFrameBytes,
  maxTextBytes: 0,
  onMessage: () => undefined,
  onOtherFrame: () => false,
  onClose: () => undefined,
};

/** Creates the listener of a connection. */
export function listen(hub: HubState, connection: DeviceConnection, effects: FrameEffects): PlainSocketListener {
  const admit = (length: number): boolean => {
    if (hub.refused.has(connection) || !hub.traffic.admit(connection.traffic, length)) return false;
    connection.frameCount += 1;
    return true;
  };
  return {
    maxFrameBytes,
    // A character has at most three bytes, so a longer text is not parsed.
    maxTextBytes: 3 * maxParsedLength,
    onMessage(text) {
      if (!admit(text.length)) return;
      receiveText(text, connection, effects);
      if (isCurrent(hub, connection)) hub.watch.received(connection.device.environmentId, text);
    },
    onLongText(byteLength, start, end) {
      if (!admit(byteLength)) return;
      receiveLongText(start, end, connection, effects);
      if (isCurrent(hub, connection)) hub.watch.receivedLong(connection.device.environmentId, start);
    },
    onOtherFrame: admit,
    onClose(code, limit) {
      hub.refused.get(connection)?.();
      hub.refused.delete(connection);
      hub.traffic.close(connection.traffic);
      if (limit === undefined) return drop(hub, connection, "closed", code);
      punish(hub, connection, "limit");
      drop(hub, connection, "limit_exceeded", code, limit);
    },
  };
}

/** Creates the effects of frames, for all connections: closures for each of them would add up. */
export function createFrameEffects(hub: HubState): FrameEffects {
  const queuesOf = (connection: DeviceConnection): QueueLedger =>
    (connection.queues ??= hub.ledgers.create(holderOf(hub, connection)));
  return {
    clock: hub.clock,
    pending: hub.pending,
    follow(connection, frame) {
      for (const follower of hub.followers) follower.received?.(connection, frame);
    },
    output: hub.output,
    emit: hub.emit,
    traffic: hub.traffic,
    queuesOf,
    isCurrent: (connection) => isCurrent(hub, connection),
    send: (connection, text) => void send(hub, connection, text),
    changeStatus: hub.writes.changeStatus,
    listMessages: hub.reconciliation.listed,
    reportQueue(connection, { runtime, messageIds }, length) {
      // An empty queue is the usual one.
      if (connection.queues === null && messageIds.length === 0) return;
      const limit = queuesOf(connection).report(runtime, messageIds, length);
      if (limit !== null) refuse(hub, connection, limit, "limit");
    },
  };
}

/** The holder of a connection's queues, which is closed when they have too much. */
export function holderOf(hub: HubState, connection: DeviceConnection): QueueHolder {
  const { environmentId, connectionId } = connection.device;
  const owner = ownerOf(connection.identity);
  return { environmentId, connectionId, owner, refuse: (limit) => refuse(hub, connection, limit, "limit") };
}
