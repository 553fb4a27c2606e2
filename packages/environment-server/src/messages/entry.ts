/**
 * A send that is followed, with its status, and the form in which its messages are stored.
 */
import type { MessageStatus, StoredMessage } from "../message-log.ts";
import type { SendWithPolicy } from "./detached-policies.ts";
import { advance, receivedStatus } from "./state-machine.ts";
import type { TurnMember } from "./turns.ts";

/** A send that is followed. */
export interface Entry extends TurnMember, SendWithPolicy {
  /** It was sent on an earlier connection, so the device is asked about it. */
  readonly isResumed: boolean;
  readonly sentAt: number;
  updatedAt: number;
  status: MessageStatus;
  toStored(): readonly StoredMessage[];
}

/** Creates the entry of a send. */
export function createEntry({
  status = receivedStatus,
  ...given
}: Omit<Entry, "status" | "toStored"> & { readonly status?: MessageStatus }): Entry {
  const entry: Entry = {
    ...given,
    status,
    toStored: () =>
      entry.messageIds.map((messageId) => ({
        scope: entry.scope,
        messageId,
        deliveryId: entry.deliveryId,
        approvalPolicy: entry.policy,
        status: entry.status,
        sentAt: entry.sentAt,
        updatedAt: entry.updatedAt,
      })),
  };
  return entry;
}

/** Creates the entries of stored messages. Until the device has said something about them, their state is unknown. */
export function groupByDelivery(stored: readonly StoredMessage[], tenant: string): Entry[] {
  const groups = new Map<string, StoredMessage[]>();
  for (const message of stored) {
    const group = groups.get(message.deliveryId);
    if (group === undefined) groups.set(message.deliveryId, [message]);
    else group.push(message);
  }
  return [...groups].flatMap(([deliveryId, messages]) => {
    const [first] = messages;
    if (first === undefined) return [];
    const { scope, approvalPolicy: policy, sentAt, updatedAt } = first;
    const messageIds = messages.map(({ messageId }) => messageId);
    const status = advance(first.status, { kind: "lost" });
    const send = { deliveryId, tenant, scope, messageIds, policy, isResumed: true };
    return [createEntry({ ...send, sentAt, updatedAt, status })];
  });
}
