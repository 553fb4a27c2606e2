/**
 * Messages whose send is stored and whose status is not. A status may wait for a moment before it is stored, so if the process is killed
 * meanwhile, its sends are only in the log of deliveries. That log has all that following them needs: their ids and the outcome of the send.
 */
import { isMessageId } from "../delivery/plan.ts";
import { maxFollowedMessages, maxSameMessages, maxUnsavedMs } from "../limits.ts";
import type { MessageLog, StoredMessage } from "../message-log.ts";
import type { DeliveryLog, MessageUse } from "../ports.ts";
import type { StoredTime } from "../time/stored-time.ts";
import { advance, evidenceOf, receivedStatus } from "./state-machine.ts";

/** Returns the status of a message when only its send is known. */
export function messageOfUse(
  { scope, messageId, deliveryId, outcome, reservedAt }: MessageUse,
  time: Pick<StoredTime, "wallAt">,
): StoredMessage {
  const sent = outcome === null ? receivedStatus : advance(receivedStatus, evidenceOf(outcome));
  const status = advance(sent, { kind: "lost" });
  const sentAt = time.wallAt(reservedAt);
  return { scope, messageId, deliveryId, approvalPolicy: null, status, sentAt, updatedAt: sentAt };
}

/** Returns the messages of a row that have no stored status and may not have ended, the latest first. */
export type FindUnsaved = (environmentId: string) => Promise<readonly StoredMessage[]>;

/**
 * Creates {@link FindUnsaved}. The last sends are read immediately, before the first send of this process, and once for all rows, since many devices
 * may reconnect together.
 */
export function createUnsavedFinder(
  store: Pick<DeliveryLog, "findLastUses"> & Pick<MessageLog, "readMessages">,
  time: Pick<StoredTime, "now" | "wallAt">,
): FindUnsaved {
  async function readUses(): Promise<ReadonlyMap<string, readonly MessageUse[]>> {
    const uses = await store.findLastUses(time.now(), maxUnsavedMs, maxFollowedMessages);
    const messages = uses.filter(({ messageId }) => isMessageId(messageId));
    return Map.groupBy(messages, ({ scope }) => scope.environmentId);
  }

  async function isSaved({ scope, messageId, deliveryId }: MessageUse): Promise<boolean> {
    const saved = await store.readMessages(scope.environmentId, messageId, maxSameMessages);
    return saved.some((message) => message.deliveryId === deliveryId);
  }

  let reading = readUses();
  // It is read again when it is needed.
  reading.catch(() => undefined);
  return async (environmentId) => {
    const rows = await reading.catch(() => (reading = readUses()));
    const messages = rows.get(environmentId) ?? [];
    const areSaved = await Promise.all(messages.map(isSaved));
    return messages.filter((_use, index) => areSaved[index] === false).map((use) => messageOfUse(use, time));
  };
}
