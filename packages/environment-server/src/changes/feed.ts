/** Turns what happens in the server into changes: events of its devices, statuses of messages, and output of turns. */
import type { MessageStatus } from "@letta-environments/schema";
import { isOutput, parseOutput } from "../dialects/parse.ts";
import { dropOldest } from "../collections.ts";
import type { DeviceReference, EnvironmentServerEvent } from "../log-events.ts";
import { maxRecentFrameKeys, maxRowsWithFrameKeys } from "../limits.ts";
import type { ConversationScope, StoredMessage } from "../message-log.ts";
import type { IdleEnvironment } from "../ports.ts";
import type { EnvironmentChanges } from "./environment-changes.ts";
import type { ChangeRecorder, UnstoredChange } from "./recorder.ts";

export interface ChangeFeed {
  /** An event of the server. It must already have happened. */
  handleEvent(event: EnvironmentServerEvent): void;
  /** A row may have changed. */
  changed(device: UnstoredChange["device"]): void;
  removed(row: IdleEnvironment): void;
  /** Messages of one connected row have another status. */
  recordMessages(messages: readonly StoredMessage[]): void;
  /** A request for permission of a connected device has changed. `dataOf` returns the members `change` and `approval` of the event. */
  recordApproval(
    scope: Pick<ConversationScope, "environmentId" | "agentId">,
    dataOf: (device: DeviceReference) => Readonly<Record<string, unknown>>,
  ): void;
  /** Whether a frame of a device must be passed to {@link ChangeFeed.recordOutput}. */
  wantsOutput(device: DeviceReference, text: string): boolean;
  /** A frame with output has arrived. */
  recordOutput(device: DeviceReference, text: string): void;
}

/**
 * Creates a {@link ChangeFeed}.
 *
 * @param present shows a message; with its text, which only readers of output receive, if anybody reads output
 */
export function createChangeFeed({
  recorder,
  environments,
  present,
}: {
  readonly recorder: Pick<ChangeRecorder, "isRecording" | "record">;
  readonly environments: Pick<EnvironmentChanges, "changed" | "removed">;
  readonly present: (message: StoredMessage, deviceId: string, withText: boolean) => MessageStatus;
}): ChangeFeed {
  const isRepeat = createFrameDeduplicator();
  /** Rows with an open socket. */
  const connected = new Map<string, DeviceReference>();

  return {
    handleEvent(event) {
      switch (event.type) {
        case "device_connected":
          connected.set(event.environmentId, pick(event));
          return environments.changed(pick(event));
        case "device_disconnected":
          connected.delete(event.environmentId);
          return environments.changed(pick(event));
        case "device_registered":
        case "device_changed":
          return environments.changed(pick(event));
        default:
      }
    },
    changed: environments.changed,
    removed({ id: environmentId, tenant, deviceId, connectionName, tags }) {
      environments.removed({ tenant, environmentId, deviceId }, { connectionName, tags });
    },
    recordMessages(messages) {
      for (const message of messages) {
        const device = connected.get(message.scope.environmentId);
        if (device === undefined || !recorder.isRecording(device.tenant, "message")) continue;
        const { deviceId, connectionId } = device;
        const withText = recorder.isRecording(device.tenant, "output");
        const data = { deviceId, connectionId, message: present(message, deviceId, withText) };
        recorder.record({ kind: "message", device, agentId: message.scope.agentId, data });
      }
    },
    recordApproval({ environmentId, agentId }, dataOf) {
      const device = connected.get(environmentId);
      if (device === undefined || !recorder.isRecording(device.tenant, "approval")) return;
      const { deviceId, connectionId } = device;
      recorder.record({ kind: "approval", device, agentId, data: { deviceId, connectionId, ...dataOf(device) } });
    },
    wantsOutput: ({ tenant }, text) => isOutput(text) && recorder.isRecording(tenant, "output"),
    recordOutput(device, text) {
      const frame = parseOutput(text);
      if (frame === null || (frame.key !== null && isRepeat(device.environmentId, frame.key))) return;
      const { deviceId, connectionId } = device;
      const { runtime, subagentId, delta } = frame;
      recorder.record({
        kind: "output",
        device,
        agentId: runtime.agentId,
        data: {
          deviceId,
          connectionId,
          agentId: runtime.agentId === "" ? null : runtime.agentId,
          conversationId: runtime.conversationId,
          ...(subagentId !== null && { subagentId }),
          delta,
        },
      });
    },
  };
}

function pick({ tenant, environmentId, deviceId, connectionId }: DeviceReference): DeviceReference {
  return { tenant, environmentId, deviceId, connectionId };
}

/**
 * Creates a function that recognises frames that a device sends twice, by the key that it gives each of them. The last keys of each row are
 * remembered, even while its device reconnects.
 */
export function createFrameDeduplicator(): (environmentId: string, key: string) => boolean {
  const rows = new Map<string, Set<string>>();
  return (environmentId, key) => {
    const keys = rows.get(environmentId) ?? new Set();
    // The row that was used last is the last one.
    rows.delete(environmentId);
    rows.set(environmentId, keys);
    dropOldest(rows, maxRowsWithFrameKeys);
    if (keys.has(key)) return true;
    keys.add(key);
    dropOldest(keys, maxRecentFrameKeys);
    return false;
  };
}
