/** Listens to the socket of a device: admits its frames within the limits, and applies them to the parts of the server. */
import type { PlainSocketListener } from "@letta-environments/schema";
import { maxFrameBytes, maxParsedLength } from "../limits.ts";
import type { DeviceConnection } from "./connection.ts";
import { drop, recordViolation } from "./ends.ts";
import { type HubState, isCurrent } from "./hub-state.ts";
import { receiveLongText, receiveText } from "./receive.ts";

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
      receiveText(hub, connection, text);
      if (isCurrent(hub, connection)) hub.watch.received(connection.device.environmentId, text);
    },
    onLongText(byteLength, start, end) {
      if (!admit(byteLength)) return;
      receiveLongText(hub, connection, start, end);
      if (isCurrent(hub, connection)) hub.watch.receivedLong(connection.device.environmentId, start);
    },
    // Binary data and pings of the WebSocket protocol are ignored, but count against the limits.
    onOtherFrame: admit,
    onClose(code, limit) {
      hub.refused.get(connection)?.();
      hub.refused.delete(connection);
      hub.traffic.close(connection.traffic);
      if (limit === undefined) return drop(hub, connection, { reason: "closed", code });
      recordViolation(hub, connection, "limit");
      drop(hub, connection, { reason: "limit_exceeded", code, limit });
    },
  };
}
