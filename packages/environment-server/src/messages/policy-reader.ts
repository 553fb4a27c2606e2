/**
 * Reads the approval policies of the messages of a row before its device connects, so that they apply to the first request for permission. A store that
 * is slow or fails does not keep the device from connecting: then its requests wait until its messages have been read.
 */
import type { Clock } from "@letta-environments/platform";
import { dropOldest } from "../collections.ts";
import { maxFollowedMessages, maxPolicyReadMs } from "../limits.ts";
import type { StoredMessage } from "../message-log.ts";
import { groupByDelivery, type TrackedSend } from "./followed.ts";

export interface PolicyReader {
  /** Calls `onRead` with the messages of a row. Resolves when they have been read, or cannot be read for now. Never rejects. */
  read(environmentId: string, tenant: string, onRead: (send: TrackedSend) => void): Promise<void>;
  /** A device has connected. Returns whether the messages of its row were read before. */
  take(environmentId: string): boolean;
}

export function createPolicyReader({
  clock,
  findOpenMessages,
}: {
  readonly clock: Pick<Clock, "setTimer">;
  /** Rejects when the store fails. */
  readonly findOpenMessages: (environmentId: string) => Promise<readonly StoredMessage[]>;
}): PolicyReader {
  const rows = new Set<string>();
  return {
    async read(environmentId, tenant, onRead) {
      rows.delete(environmentId);
      const isLate = Promise.withResolvers<null>();
      const cancel = clock.setTimer(maxPolicyReadMs, () => isLate.resolve(null));
      // The failure is reported when they are read after the device has connected.
      const reading = findOpenMessages(environmentId).catch(() => null);
      const stored = await Promise.race([reading, isLate.promise]);
      cancel();
      if (stored === null) return;
      for (const send of groupByDelivery(stored, tenant)) onRead(send);
      rows.add(environmentId);
      dropOldest(rows, maxFollowedMessages);
    },
    take: (environmentId) => rows.delete(environmentId),
  };
}
