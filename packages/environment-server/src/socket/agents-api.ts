/**
 * Notices devices whose turns fail because this server has no agents API; see `dialects/turn-frames.ts`. It applies to a registration,
 * even across reconnects: a device that restarts with another backend registers again. A turn that succeeds disproves it.
 */
import { saysAgentsApiMissing } from "../dialects/turn-frames.ts";
import type { EmitEvent } from "../log-events.ts";
import { dropOldest } from "../collections.ts";
import { maxDevicesWithoutApi } from "../limits.ts";
import type { DeviceConnection } from "./connection.ts";
import type { DeviceFollower } from "./hub-state.ts";

export function createAgentsApiWatch(emit: EmitEvent): DeviceFollower {
  /** The connectionIds of devices without an agents API by their rows, the oldest first. */
  const missing = new Map<string, string>();

  function set(connection: DeviceConnection, isMissing: boolean): void {
    if (connection.isAgentsApiMissing === isMissing) return;
    connection.isAgentsApiMissing = isMissing;
    const { environmentId, connectionId } = connection.device;
    missing.delete(environmentId);
    if (isMissing) missing.set(environmentId, connectionId);
    dropOldest(missing, maxDevicesWithoutApi);
    emit({ type: "agents_api_missing", ...connection.device, isMissing });
  }

  return {
    connected(connection) {
      const { environmentId, connectionId } = connection.device;
      connection.isAgentsApiMissing = missing.get(environmentId) === connectionId;
    },
    received(connection, frame) {
      if (frame.kind === "turn_finished" && frame.stopReason === "end_turn") return set(connection, false);
      const error =
        frame.kind === "turn_finished"
          ? frame.error
          : frame.kind === "loop_error" && frame.isTerminal
            ? frame.message
            : null;
      if (error !== null && saysAgentsApiMissing(error)) set(connection, true);
    },
  };
}
