/**
 * When a device connects, asks it about sends of its row with an unknown outcome, of this process or an earlier one, and about the
 * conversations that followers name. The device's reports then settle the sends that it has; see `delivery/unresolved.ts`.
 */
import { createUnresolvedDeliveries } from "../delivery/unresolved.ts";
import { buildSyncFrame } from "../dialects/build.ts";
import { type Conversation, conversationKey } from "../dialects/conversation.ts";
import { maxReconciledConversations, maxUnresolvedMessages, reconciliationRetryMs } from "../limits.ts";
import type { DeviceConnection } from "./connection.ts";
import { send } from "./close.ts";
import { type HubState, isCurrent } from "./hub-state.ts";

/**
 * Reads the unresolved sends of a row whose socket has opened, and asks the device for the state of their conversations. Reads again after a failure
 * while the device is connected, since its reports would otherwise change nothing until it reconnects.
 */
export function reconcile(hub: HubState, connection: DeviceConnection): void {
  load(hub, connection).catch((cause: unknown) => {
    hub.emit({ type: "store_failed", operation: "findUnresolved", cause });
    hub.clock.setTimer(reconciliationRetryMs, () => {
      if (isCurrent(hub, connection)) reconcile(hub, connection);
    });
  });
}

/** Takes the ids of messages that a device lists for a conversation. */
export function confirmListed(
  { pending }: HubState,
  { device, unresolved }: DeviceConnection,
  conversation: Conversation,
  messageIds: readonly (string | null)[],
): void {
  if (unresolved === null) return;
  for (const deliveryId of unresolved.confirm(conversation, messageIds)) pending.confirm(device, deliveryId);
}

async function load(hub: HubState, connection: DeviceConnection): Promise<void> {
  const { store, pending, followers, clock, time, settleMs } = hub;
  const { environmentId } = connection.device;
  const [found, ...resumed] = await Promise.all([
    store.findUnresolved(environmentId, time.now(), maxUnresolvedMessages),
    ...followers.map((follower) => follower.resume?.(environmentId) ?? []),
  ]);
  const followed = resumed.flat();
  // A send that waits here has its own acknowledgement.
  const unresolved = found.filter(({ deliveryId }) => pending.find(environmentId, deliveryId)?.isWaiting !== true);
  if (!isCurrent(hub, connection)) return;
  if (unresolved.length > 0) connection.unresolved = createUnresolvedDeliveries(unresolved);
  if (unresolved.length + followed.length > 0) clock.setTimer(settleMs, () => requestStates(hub, connection, followed));
}

function requestStates(hub: HubState, connection: DeviceConnection, followed: readonly Conversation[]): void {
  const all = [...(connection.unresolved?.conversations() ?? []), ...followed];
  const conversations = new Map(all.map((conversation) => [conversationKey(conversation), conversation]));
  for (const conversation of [...conversations.values()].slice(0, maxReconciledConversations)) {
    if (!isCurrent(hub, connection)) return;
    send(hub, connection, buildSyncFrame(hub.randomId("sync"), conversation));
  }
}
