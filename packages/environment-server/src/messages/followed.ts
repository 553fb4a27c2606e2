/**
 * Limits how many sends of all rows are followed. When there are too many, the tenant with the most loses one, so that no tenant can displace the sends
 * of another. Sends of unknown state are dropped before sends that the device has reported.
 */
import { maxFollowedMessages } from "../limits.ts";
import type { MessageStatus } from "../message-log.ts";

/** A send that is followed. */
export interface FollowedSend {
  readonly tenant: string;
  readonly status: MessageStatus;
}

/** The sends that are followed. */
export interface FollowedSends<Send extends FollowedSend> {
  /** Adds a send, or moves it between known and unknown state. It becomes the youngest of its kind. */
  set(send: Send): void;
  delete(send: Send): void;
  /** The send to give up because there are too many; `undefined` if there are not too many. */
  excess(): Send | undefined;
}

/** The sends of a tenant, the oldest first. */
interface Share<Send> {
  readonly unknown: Set<Send>;
  readonly known: Set<Send>;
}

/** Creates {@link FollowedSends}. */
export function createFollowedSends<Send extends FollowedSend>(max: number = maxFollowedMessages): FollowedSends<Send> {
  const shares = new Map<string, Share<Send>>();
  let size = 0;

  function remove(send: Send): void {
    const share = shares.get(send.tenant);
    if (share === undefined || !(share.unknown.delete(send) || share.known.delete(send))) return;
    size -= 1;
    if (sizeOf(share) === 0) shares.delete(send.tenant);
  }

  return {
    set(send) {
      remove(send);
      const share = shares.get(send.tenant) ?? { unknown: new Set(), known: new Set() };
      shares.set(send.tenant, share);
      (send.status.state === "unknown" ? share.unknown : share.known).add(send);
      size += 1;
    },
    delete: remove,
    excess() {
      if (size <= max) return undefined;
      let largest: Share<Send> | undefined;
      for (const share of shares.values())
        if (largest === undefined || sizeOf(share) > sizeOf(largest)) largest = share;
      const [unknown] = largest?.unknown ?? [];
      const [known] = largest?.known ?? [];
      return unknown ?? known;
    },
  };
}

function sizeOf({ unknown, known }: Share<unknown>): number {
  return unknown.size + known.size;
}
