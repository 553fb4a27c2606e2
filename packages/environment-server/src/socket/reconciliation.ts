/**
 * Asks a device that connects about the sends of its row whose outcome is unknown, and about the conversations that followers name, of this
 * process or an earlier one. The device's reports then settle the sends that it has; see `delivery/unresolved.ts`.
 */
import type { Clock, RandomId } from "@letta-environments/platform";
import type { PendingDeliveries } from "../delivery/pending.ts";
import { createUnresolvedDeliveries } from "../delivery/unresolved.ts";
import type { EmitEvent } from "../events.ts";
import { maxReconciledConversations, maxUnresolvedMessages, reconciliationRetryMs } from "../limits.ts";
import type { EnvironmentStore } from "../ports.ts";
import type { StoredTime } from "../time/stored-time.ts";
import type { DeviceConnection } from "./connection.ts";
import type { DeviceFollower } from "./followers.ts";
import { buildSyncFrame } from "../dialects/build.ts";
import { type Conversation, conversationKey } from "../dialects/conversation.ts";

/** Settles, with a device that connects, the sends whose outcome is unknown. */
export interface Reconciliation {
  /** Reads the unresolved sends of a row whose socket has opened, and asks the device for the state of their conversations. */
  start(connection: DeviceConnection): void;
  /** Takes the ids of messages that a device lists for a conversation. */
  listed(connection: DeviceConnection, runtime: Conversation, messageIds: readonly (string | null)[]): void;
}

/** Creates {@link Reconciliation}. */
export function createReconciliation({
  clock,
  randomId,
  store,
  pending,
  followers,
  emit,
  time,
  settleMs,
  isCurrent,
  send,
}: {
  readonly clock: Clock;
  readonly randomId: RandomId;
  readonly store: Pick<EnvironmentStore, "findUnresolved">;
  readonly pending: Pick<PendingDeliveries, "find" | "confirm">;
  readonly followers: readonly Pick<DeviceFollower, "resume">[];
  readonly emit: EmitEvent;
  readonly time: Pick<StoredTime, "now">;
  /** Pause before the first frame to a socket that has just opened, in milliseconds. */
  readonly settleMs: number;
  readonly isCurrent: (connection: DeviceConnection) => boolean;
  readonly send: (connection: DeviceConnection, text: string) => void;
}): Reconciliation {
  function ask(connection: DeviceConnection, followed: readonly Conversation[]): void {
    const all = [...(connection.unresolved?.conversations() ?? []), ...followed];
    const conversations = new Map(all.map((conversation) => [conversationKey(conversation), conversation]));
    for (const runtime of [...conversations.values()].slice(0, maxReconciledConversations)) {
      if (!isCurrent(connection)) return;
      send(connection, buildSyncFrame(randomId("sync"), runtime));
    }
  }

  async function load(connection: DeviceConnection): Promise<void> {
    const { environmentId } = connection.device;
    const [found, ...resumed] = await Promise.all([
      store.findUnresolved(environmentId, time.now(), maxUnresolvedMessages),
      ...followers.map((follower) => follower.resume?.(environmentId) ?? []),
    ]);
    const followed = resumed.flat();
    // A send that waits here has its own acknowledgement.
    const unresolved = found.filter(({ deliveryId }) => pending.find(environmentId, deliveryId)?.waiting !== true);
    if (!isCurrent(connection)) return;
    if (unresolved.length > 0) connection.unresolved = createUnresolvedDeliveries(unresolved);
    if (unresolved.length + followed.length > 0) clock.setTimer(settleMs, () => ask(connection, followed));
  }

  /** Reads again after a failure, as long as the device is connected: otherwise its reports would change nothing until it reconnects. */
  function start(connection: DeviceConnection): void {
    load(connection).catch((cause: unknown) => {
      emit({ type: "store_failed", operation: "findUnresolved", cause });
      clock.setTimer(reconciliationRetryMs, () => {
        if (isCurrent(connection)) start(connection);
      });
    });
  }

  return {
    start,
    listed({ device, unresolved }, runtime, messageIds) {
      if (unresolved === null || unresolved.isEmpty) return;
      for (const deliveryId of unresolved.confirm(runtime, messageIds)) pending.confirm(device, deliveryId);
    },
  };
}
