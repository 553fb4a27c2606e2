/**
 * A send that is followed, with its status, and the form in which its messages are stored.
 */
import type { MessageStatus, StoredMessage } from "../message-log.ts";
import type { SendWithPolicy } from "./detached-policies.ts";
import { advance } from "./state-machine.ts";
import type { TurnMember } from "./turns.ts";

/** A send that is followed. */
export interface Entry extends TurnMember, SendWithPolicy {
  /** It was sent on an earlier connection, so the device is asked about it. */
  readonly isResumed: boolean;
  readonly sentAt: number;
  updatedAt: number;
  status: MessageStatus;
}

/** Returns the messages of a send as they are stored. */
export function toStored({ scope, messageIds, deliveryId, policy, ...rest }: Entry): readonly StoredMessage[] {
  const { status, sentAt, updatedAt } = rest;
  return messageIds.map((messageId) => ({
    scope,
    messageId,
    deliveryId,
    approvalPolicy: policy,
    status,
    sentAt,
    updatedAt,
  }));
}

/** Creates the entries of stored messages. Until the device has said something about them, their state is unknown. */
export function groupByDelivery(stored: readonly StoredMessage[], tenant: string): Entry[] {
  return [...Map.groupBy(stored, ({ deliveryId }) => deliveryId)].flatMap(([deliveryId, messages]) => {
    const [first] = messages;
    if (first === undefined) return [];
    const { scope, approvalPolicy: policy, sentAt, updatedAt } = first;
    const messageIds = messages.map(({ messageId }) => messageId);
    const status = advance(first.status, { kind: "lost" });
    return [{ deliveryId, tenant, scope, messageIds, policy, isResumed: true, sentAt, updatedAt, status }];
  });
}
