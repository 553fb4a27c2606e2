/**
 * How many messages wait in each conversation of a device. A device drops its oldest accepted message when its queue is full,
 * without an error, so the server counts and refuses earlier. What a device may make the server remember is limited, for each
 * device and for all together.
 */
import type { Clock } from "@letta-environments/platform";
import {
  maxConversationsPerDevice,
  maxQueuedMessages,
  maxQueuedMessagesPerDevice,
  maxReportedMessages,
  queueRetentionMs,
} from "../limits.ts";
import type { FrameRuntime } from "./frames.ts";

/** The queues of one device. */
export interface QueueLedger {
  /** Stores a device's `update_queue`, which lists the whole queue of a conversation. Returns the exceeded limit, or `null`. */
  report(runtime: FrameRuntime, messageIds: readonly (string | null)[]): string | null;
  /** Adds messages that the device acknowledged as queued, until its next report lists or drops them. */
  accept(runtime: FrameRuntime, messageIds: readonly string[]): void;
  /** Number of waiting messages, including those that were sent and are not acknowledged yet. */
  count(runtime: FrameRuntime, unacknowledgedIds: readonly string[]): number;
  /** Conversations with a queue. */
  busy(): readonly FrameRuntime[];
  /** Forgets everything. */
  clear(): void;
  /** Messages in memory; each conversation counts as one more. */
  readonly size: number;
}

/** The ledgers of all devices: those in use, and those of devices that have disconnected and may come back. */
export interface QueueLedgers {
  /** Returns the ledger for a socket that opens: the remembered one of the same connection, or an empty one. */
  take(environmentId: string, connectionId: string): QueueLedger;
  /**
   * Remembers the ledger of a device that disconnected. A device that reconnects keeps its queue and does not report it
   * by itself. Another connection of the same row is another process, whose queues are empty.
   */
  keep(environmentId: string, connectionId: string, ledger: QueueLedger): void;
  /** Forgets ledgers of disconnected devices, oldest first, until the total is in its limit. Returns whether it is. */
  trim(): boolean;
}

interface Queue {
  readonly runtime: FrameRuntime;
  readonly reportedIds: ReadonlySet<string>;
  readonly reportedCount: number;
  readonly acceptedIds: ReadonlySet<string>;
}

interface KeptLedger {
  readonly connectionId: string;
  readonly ledger: QueueLedger;
  readonly keptAtMs: number;
}

/** Creates {@link QueueLedgers}. */
export function createQueueLedgers({ monotonic }: Pick<Clock, "monotonic">): QueueLedgers {
  let total = 0;
  const kept = new Map<string, KeptLedger>();

  function forget(environmentId: string, { ledger }: KeptLedger): void {
    kept.delete(environmentId);
    ledger.clear();
  }

  function forgetExpired(): void {
    for (const [environmentId, entry] of kept) {
      // Entries are in the order in which they were kept.
      if (monotonic() - entry.keptAtMs < queueRetentionMs) return;
      forget(environmentId, entry);
    }
  }

  return {
    take(environmentId, connectionId) {
      forgetExpired();
      const entry = kept.get(environmentId);
      kept.delete(environmentId);
      if (entry?.connectionId === connectionId) return entry.ledger;
      entry?.ledger.clear();
      return createQueueLedger((change) => (total += change));
    },
    keep(environmentId, connectionId, ledger) {
      forgetExpired();
      if (ledger.size > 0) kept.set(environmentId, { connectionId, ledger, keptAtMs: monotonic() });
    },
    trim() {
      for (const [environmentId, entry] of kept) {
        if (total <= maxQueuedMessages) break;
        forget(environmentId, entry);
      }
      return total <= maxQueuedMessages;
    },
  };
}

/** Creates an empty {@link QueueLedger}. `onSizeChange` receives each change of its size. */
export function createQueueLedger(onSizeChange: (change: number) => void = () => undefined): QueueLedger {
  const queues = new Map<string, Queue>();
  let size = 0;

  function resize(change: number): void {
    size += change;
    onSizeChange(change);
  }

  function remove(key: string): void {
    const queue = queues.get(key);
    if (queue === undefined) return;
    queues.delete(key);
    resize(-sizeOf(queue));
  }

  /** Stores a queue as the latest one, and forgets the oldest ones when there is no room. */
  function put(key: string, queue: Queue): void {
    remove(key);
    if (queue.reportedCount === 0 && queue.acceptedIds.size === 0) return;
    queues.set(key, queue);
    resize(sizeOf(queue));
    for (const oldest of queues.keys()) {
      if (queues.size <= maxConversationsPerDevice && size <= maxQueuedMessagesPerDevice) return;
      remove(oldest);
    }
  }

  return {
    report(runtime, messageIds) {
      if (messageIds.length > maxReportedMessages) {
        return `A queue report lists more than ${maxReportedMessages} messages`;
      }
      const key = keyOf(runtime);
      const reportedIds = new Set(messageIds.filter((messageId) => messageId !== null));
      const queue = { runtime, reportedIds, reportedCount: messageIds.length, acceptedIds: new Set<string>() };
      const previous = queues.get(key);
      if (size - (previous === undefined ? 0 : sizeOf(previous)) + sizeOf(queue) > maxQueuedMessagesPerDevice) {
        return `The device reports more than ${maxQueuedMessagesPerDevice} queued messages`;
      }
      put(key, queue);
      return null;
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
    clear() {
      queues.clear();
      resize(-size);
    },
    get size() {
      return size;
    },
  };
}

function sizeOf({ reportedIds, acceptedIds }: Queue): number {
  return 1 + reportedIds.size + acceptedIds.size;
}

function keyOf({ agentId, conversationId }: FrameRuntime): string {
  return JSON.stringify([agentId, conversationId]);
}
