import type { FrameRuntime } from "./parse-frame.ts";

/** How many messages wait in each conversation of a device, as far as the server can tell. */
export interface QueueLedger {
  /** Takes a device's `update_queue`, which lists the whole queue of a conversation. */
  report(runtime: FrameRuntime, messageIds: readonly (string | null)[]): void;
  /** Takes an acknowledgement with `disposition: "queued"`, until the device's next report lists or drops the ids. */
  accept(runtime: FrameRuntime, messageIds: readonly string[]): void;
  /** Number of messages that wait, with those that are sent and not acknowledged yet. */
  count(runtime: FrameRuntime, unacknowledgedIds: readonly string[]): number;
  /** Conversations with a queue. */
  busy(): readonly FrameRuntime[];
}

interface Queue {
  readonly runtime: FrameRuntime;
  readonly reportedIds: ReadonlySet<string>;
  readonly reportedCount: number;
  readonly acceptedIds: Set<string>;
}

/** Conversations remembered for one device; the one that was heard of longest ago is forgotten beyond this. */
const maxConversations = 1_000;

/** Creates a {@link QueueLedger}. */
export function createQueueLedger(): QueueLedger {
  const queues = new Map<string, Queue>();

  function put(key: string, queue: Queue): void {
    queues.delete(key);
    if (queue.reportedCount === 0 && queue.acceptedIds.size === 0) return;
    queues.set(key, queue);
    if (queues.size <= maxConversations) return;
    const [oldest] = queues.keys();
    if (oldest !== undefined) queues.delete(oldest);
  }

  return {
    report(runtime, messageIds) {
      const reportedIds = new Set(messageIds.filter((messageId) => messageId !== null));
      put(keyOf(runtime), { runtime, reportedIds, reportedCount: messageIds.length, acceptedIds: new Set() });
    },
    accept(runtime, messageIds) {
      const key = keyOf(runtime);
      const known = queues.get(key) ?? { runtime, reportedIds: new Set(), reportedCount: 0, acceptedIds: new Set() };
      const fresh = messageIds.filter((messageId) => !known.reportedIds.has(messageId));
      put(key, { ...known, acceptedIds: new Set([...known.acceptedIds, ...fresh]) });
    },
    count(runtime, unacknowledgedIds) {
      const queue = queues.get(keyOf(runtime));
      if (queue === undefined) return new Set(unacknowledgedIds).size;
      const others = [...queue.acceptedIds, ...unacknowledgedIds].filter(
        (messageId) => !queue.reportedIds.has(messageId),
      );
      return queue.reportedCount + new Set(others).size;
    },
    busy: () => [...queues.values()].map((queue) => queue.runtime),
  };
}

function keyOf({ agentId, conversationId }: FrameRuntime): string {
  return JSON.stringify([agentId, conversationId]);
}
