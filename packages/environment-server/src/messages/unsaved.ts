/**
 * Messages whose send is stored and whose status is not. A status may wait for a moment before it is stored, so if the process is killed
 * meanwhile, its sends are only in the log of deliveries. That log has all that following them needs: their ids and the outcome of the send.
 */
import { isMessageId } from "../delivery/plan.ts";
import { maxFollowedMessages, maxSameMessages, maxUnsavedElsewhereMs, maxUnsavedMs } from "../limits.ts";
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

type UsesByRow = ReadonlyMap<string, readonly MessageUse[]>;

const noUses: UsesByRow = new Map();

/** Returns the messages of a row that have no stored status and may not have ended, the latest first. */
export type FindUnsaved = (environmentId: string) => Promise<readonly StoredMessage[]>;

/**
 * Creates {@link FindUnsaved}. The last sends are read immediately, before the first send of this process, and once for all rows, since many devices
 * may reconnect together. Other servers may send and be killed later, so with them the last sends are read again for each device that connects.
 */
export function createUnsavedFinder(
  store: Pick<DeliveryLog, "findLastUses"> & Pick<MessageLog, "readMessages">,
  time: Pick<StoredTime, "now" | "wallAt">,
  hasOtherServers = false,
): FindUnsaved {
  async function readUses(spanMs: number): Promise<UsesByRow> {
    const uses = await store.findLastUses(time.now(), spanMs, maxFollowedMessages);
    const messages = uses.filter(({ messageId }) => isMessageId(messageId));
    return Map.groupBy(messages, ({ scope }) => scope.environmentId);
  }

  async function isSaved({ scope, messageId, deliveryId }: MessageUse): Promise<boolean> {
    const saved = await store.readMessages(scope.environmentId, messageId, maxSameMessages);
    return saved.some((message) => message.deliveryId === deliveryId);
  }

  const readAgain = hasOtherServers ? shareReads(() => readUses(maxUnsavedElsewhereMs)) : async () => noUses;
  let reading = readUses(maxUnsavedMs);
  // It is read again when it is needed.
  reading.catch(() => undefined);
  return async (environmentId) => {
    const read = await Promise.all([reading.catch(() => (reading = readUses(maxUnsavedMs))), readAgain()]);
    const uses = read.flatMap((rows) => rows.get(environmentId) ?? []);
    const messages = [...new Map(uses.map((use) => [JSON.stringify([use.deliveryId, use.messageId]), use])).values()];
    const areSaved = await Promise.all(messages.map(isSaved));
    return messages.filter((_use, index) => areSaved[index] === false).map((use) => messageOfUse(use, time));
  };
}

/** Runs one read at a time. Calls during a read share the next one, because that read may have missed what they need. */
function shareReads<Result>(read: () => Promise<Result>): () => Promise<Result> {
  let current: Promise<unknown> = Promise.resolve();
  let next: Promise<Result> | null = null;
  return () =>
    (next ??= current.then(() => {
      next = null;
      const result = read();
      current = result.catch(() => undefined);
      return result;
    }));
}
