/**
 * The sends that are followed: their form, how they are stored, and how many there may be. When there are too many, the tenant with the most loses one,
 * so that no tenant can displace the sends of another. Sends of unknown state are dropped before sends that the device has reported.
 */
import type { ApprovalPolicy } from "@letta-environments/schema";
import { createGroups } from "../collections.ts";
import { maxFollowedMessages } from "../limits.ts";
import type { ConversationScope, MessageProgress, StoredMessage } from "../message-log.ts";
import { advance } from "./state-machine.ts";

/** The members of a send by which the limit chooses. */
export interface FollowedSend {
  readonly tenant: string;
  readonly status: MessageProgress;
}

/** A send that is followed. A device takes its messages together. */
export interface TrackedSend extends FollowedSend {
  readonly messageIds: readonly string[];
  readonly deliveryId: string;
  readonly scope: ConversationScope;
  /** The policy of its sender. */
  readonly policy: ApprovalPolicy | null;
  /** It was sent on an earlier connection, so the device is asked about it. */
  readonly isResumed: boolean;
  readonly sentAt: number;
  updatedAt: number;
  status: MessageProgress;
}

/** Returns the messages of a send as they are stored. */
export function toStored({ scope, messageIds, deliveryId, policy, ...rest }: TrackedSend): readonly StoredMessage[] {
  const { tenant, status, sentAt, updatedAt } = rest;
  return messageIds.map((messageId) => ({
    scope,
    messageId,
    deliveryId,
    approvalPolicy: policy,
    tenant,
    status,
    sentAt,
    updatedAt,
  }));
}

/** Creates the entries of stored messages. Until the device has said something about them, their state is unknown. */
export function groupByDelivery(stored: readonly StoredMessage[], tenant: string): TrackedSend[] {
  return [...Map.groupBy(stored, ({ deliveryId }) => deliveryId)].flatMap(([deliveryId, messages]) => {
    const [first] = messages;
    if (first === undefined) return [];
    const { scope, approvalPolicy: policy, sentAt, updatedAt } = first;
    const messageIds = messages.map(({ messageId }) => messageId);
    const status = advance(first.status, { kind: "lost" });
    return [{ deliveryId, tenant, scope, messageIds, policy, isResumed: true, sentAt, updatedAt, status }];
  });
}

export interface FollowedSends<Send extends FollowedSend> {
  /** Adds a send, or moves it between known and unknown state. It becomes the youngest of its kind. */
  set(send: Send): void;
  delete(send: Send): void;
  /** The send to give up because there are too many; `undefined` if there are not too many. */
  excess(): Send | undefined;
}

export function createFollowedSends<Send extends FollowedSend>(max: number = maxFollowedMessages): FollowedSends<Send> {
  /** By tenant. */
  const all = createGroups<Send>();
  const unknown = createGroups<Send>();
  let size = 0;

  function remove(send: Send): void {
    if (!all.delete(send.tenant, send)) return;
    unknown.delete(send.tenant, send);
    size -= 1;
  }

  return {
    set(send) {
      remove(send);
      all.add(send.tenant, send);
      if (send.status.state === "unknown") unknown.add(send.tenant, send);
      size += 1;
    },
    delete: remove,
    excess() {
      const tenant = size <= max ? undefined : all.largest();
      return tenant === undefined ? undefined : (unknown.firstOf(tenant) ?? all.firstOf(tenant));
    },
  };
}
