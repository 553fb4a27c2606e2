/**
 * How many messages wait in each conversation of a device. A device drops its oldest accepted message when its queue is full,
 * without an error, so the server counts and refuses earlier. It also adds up their characters, because a device repeats the whole
 * queue in each report. The memory for this is limited for each device, for the devices of a key and for all together.
 */
import type { Clock } from "@letta-environments/platform";
import type { MemoryOwner } from "@letta-environments/schema";
import {
  maxConversationsPerDevice,
  maxQueueBytes,
  maxQueueBytesPerDevice,
  maxQueueBytesPerKey,
  maxReportedMessages,
  queueRetentionMs,
} from "../limits.ts";
import { createMemoryBudget, type MemoryAccount } from "../memory-budget.ts";
import { type Conversation, conversationKey } from "../dialects/conversation.ts";

/** A send that waits. */
export interface QueuedSend {
  readonly messageIds: readonly string[];
  /** Characters that its messages take in a report. */
  readonly length: number;
}

/** The size of the queue of a conversation. */
interface QueueSize {
  /** Messages. */
  readonly count: number;
  /** Their characters in a report. */
  readonly length: number;
  /** The cost of the queues of the device's other conversations: the sum of their messages times their characters. */
  readonly otherConversationsCost: number;
}

/** The queues of one device. */
export interface QueueLedger {
  /**
   * Stores a device's `update_queue`, which lists the whole queue of a conversation. Returns the exceeded limit, or `null`.
   *
   * @param length of the report, in characters
   */
  report(conversation: Conversation, messageIds: readonly (string | null)[], length: number): string | null;
  /** Adds a send that the device acknowledged as queued, until its next report lists or drops it. */
  accept(conversation: Conversation, messageIds: readonly string[], length: number): void;
  /** The size of a queue, including sends that are not acknowledged yet. */
  sizeOf(conversation: Conversation, unacknowledged: readonly QueuedSend[]): QueueSize;
  /** Conversations with a queue. */
  queuedConversations(): readonly Conversation[];
  /** Forgets everything. */
  clear(): void;
  /** Approximate memory, in bytes. */
  readonly bytes: number;
}

/** The socket that a ledger belongs to. */
export interface QueueHolder {
  readonly environmentId: string;
  readonly connectionId: string;
  /** The key of the device; see {@link createMemoryBudget}. */
  readonly owner: MemoryOwner;
  /** Called when the device must be disconnected because its key, or all devices together, exceed a limit. */
  readonly onLimitExceeded: (limit: string) => void;
}

/** The ledgers of all devices: of connected ones, and of disconnected ones that may reconnect. */
export interface QueueLedgers {
  /** Returns the remembered ledger of a connection whose socket opens again; `null` when there is none. */
  resume(holder: QueueHolder): QueueLedger | null;
  /** Creates the ledger of a connection that has none. */
  create(holder: QueueHolder): QueueLedger;
  /**
   * Remembers the ledger of a device that disconnected. A device that reconnects keeps its queue and does not report it
   * unasked. Another connection of the same row is another process, whose queues are empty.
   */
  retainAfterDisconnect(environmentId: string): void;
}

interface Queue {
  readonly conversation: Conversation;
  readonly reportedIds: ReadonlySet<string>;
  readonly reportedCount: number;
  readonly reportedLength: number;
  readonly acceptedIds: ReadonlySet<string>;
  readonly acceptedLength: number;
  readonly bytes: number;
}

interface Entry {
  readonly connectionId: string;
  readonly ledger: QueueLedger;
  readonly account: MemoryAccount;
  onLimitExceeded: (limit: string) => void;
  retainedAtMs: number;
}

const limitTexts = {
  owner: `The devices of one key report more than ${maxQueueBytesPerKey / 1_048_576} MiB of queues`,
  total: `All devices together report more than ${maxQueueBytes / 1_048_576} MiB of queues`,
};

export function createQueueLedgers({ monotonic }: Pick<Clock, "monotonic">): QueueLedgers {
  const budget = createMemoryBudget({ maxOwnerBytes: maxQueueBytesPerKey, maxTotalBytes: maxQueueBytes });
  const used = new Map<string, Entry>();
  const retained = new Map<string, Entry>();

  function forget(entry: Entry): void {
    entry.ledger.clear();
    budget.close(entry.account);
  }

  function forgetExpired(): void {
    for (const [environmentId, entry] of retained) {
      // Entries are in the order in which they were retained.
      if (monotonic() - entry.retainedAtMs < queueRetentionMs) return;
      retained.delete(environmentId);
      forget(entry);
    }
  }

  function open({ environmentId, connectionId, owner, onLimitExceeded }: QueueHolder): Entry {
    const account = budget.open(owner, (limit) => {
      entry.ledger.clear();
      if (retained.get(environmentId) === entry) retained.delete(environmentId);
      else entry.onLimitExceeded(limitTexts[limit]);
    });
    const ledger = createQueueLedger((bytes) => budget.resize(account, bytes));
    const entry: Entry = { connectionId, ledger, account, onLimitExceeded, retainedAtMs: 0 };
    used.set(environmentId, entry);
    return entry;
  }

  return {
    create: (holder) => open(holder).ledger,
    resume(holder) {
      forgetExpired();
      const previous = retained.get(holder.environmentId);
      retained.delete(holder.environmentId);
      if (previous === undefined) return null;
      if (previous.connectionId !== holder.connectionId) {
        forget(previous);
        return null;
      }
      previous.onLimitExceeded = holder.onLimitExceeded;
      previous.account.isExpendable = false;
      used.set(holder.environmentId, previous);
      return previous.ledger;
    },
    retainAfterDisconnect(environmentId) {
      forgetExpired();
      const entry = used.get(environmentId);
      used.delete(environmentId);
      if (entry === undefined) return;
      if (entry.ledger.bytes === 0) return budget.close(entry.account);
      entry.retainedAtMs = monotonic();
      entry.account.isExpendable = true;
      retained.set(environmentId, entry);
    },
  };
}

/** Creates an empty {@link QueueLedger}. `onResize` receives its bytes after each change, and may clear it. */
export function createQueueLedger(onResize: (bytes: number) => void = () => undefined): QueueLedger {
  const queues = new Map<string, Queue>();
  let bytes = 0;
  let cost = 0;

  function remove(key: string): void {
    const queue = queues.get(key);
    if (queue === undefined) return;
    queues.delete(key);
    bytes -= queue.bytes;
    cost -= costOf(queue);
  }

  /** Stores a queue as the latest one, and forgets the oldest ones when there is no room. */
  function put(key: string, queue: Queue): void {
    remove(key);
    if (queue.reportedCount > 0 || queue.acceptedIds.size > 0) {
      queues.set(key, queue);
      bytes += queue.bytes;
      cost += costOf(queue);
    }
    for (const oldest of queues.keys()) {
      if (queues.size <= maxConversationsPerDevice && bytes <= maxQueueBytesPerDevice) break;
      remove(oldest);
    }
    onResize(bytes);
  }

  return {
    report(conversation, messageIds, length) {
      if (messageIds.length > maxReportedMessages) {
        return `A queue report lists more than ${maxReportedMessages} messages`;
      }
      const key = conversationKey(conversation);
      const reportedIds = new Set(messageIds.filter((messageId) => messageId !== null));
      const reported = { reportedIds, reportedCount: messageIds.length, reportedLength: length };
      const queue = toQueue({ ...emptyQueue, conversation, ...reported });
      if (bytes - (queues.get(key)?.bytes ?? 0) + queue.bytes > maxQueueBytesPerDevice) {
        return `The device reports more than ${maxQueueBytesPerDevice / 1_048_576} MiB of queues`;
      }
      put(key, queue);
      return null;
    },
    accept(conversation, messageIds, length) {
      const key = conversationKey(conversation);
      const known = queues.get(key) ?? { ...emptyQueue, conversation };
      const fresh = messageIds.filter((messageId) => !known.reportedIds.has(messageId));
      const acceptedLength = known.acceptedLength + (fresh.length === 0 ? 0 : length);
      put(key, toQueue({ ...known, acceptedIds: new Set([...known.acceptedIds, ...fresh]), acceptedLength }));
    },
    sizeOf: (conversation, unacknowledged) =>
      measure(queues.get(conversationKey(conversation)) ?? emptyQueue, cost, unacknowledged),
    queuedConversations: () => [...queues.values()].map((queue) => queue.conversation),
    clear() {
      queues.clear();
      bytes = 0;
      cost = 0;
      onResize(bytes);
    },
    get bytes() {
      return bytes;
    },
  };
}

/** The size of a queue on a device; `queues` is `null` for one that has none. */
export function sizeOfQueue(
  queues: Pick<QueueLedger, "sizeOf"> | null,
  conversation: Conversation,
  unacknowledged: readonly QueuedSend[],
): QueueSize {
  return queues?.sizeOf(conversation, unacknowledged) ?? measure(emptyQueue, 0, unacknowledged);
}

type QueueContents = Omit<Queue, "conversation" | "bytes">;

const emptyQueue: QueueContents = {
  reportedIds: new Set(),
  reportedCount: 0,
  reportedLength: 0,
  acceptedIds: new Set(),
  acceptedLength: 0,
};

function measure(queue: QueueContents, totalCost: number, unacknowledged: readonly QueuedSend[]): QueueSize {
  const { reportedIds, acceptedIds } = queue;
  const fresh = new Set<string>();
  let length = queue.reportedLength + queue.acceptedLength;
  for (const send of unacknowledged) {
    const unknown = send.messageIds.filter((messageId) => !reportedIds.has(messageId) && !acceptedIds.has(messageId));
    for (const messageId of unknown) fresh.add(messageId);
    if (unknown.length > 0) length += send.length;
  }
  return { count: countOf(queue) + fresh.size, length, otherConversationsCost: totalCost - costOf(queue) };
}

function countOf({ reportedCount, acceptedIds }: QueueContents): number {
  return reportedCount + acceptedIds.size;
}

function costOf(queue: QueueContents): number {
  return countOf(queue) * (queue.reportedLength + queue.acceptedLength);
}

/** Approximate memory of a queue and of one id without their texts, measured on Node.js. */
const queueOverheadBytes = 512;
const idOverheadBytes = 64;

function toQueue(queue: Omit<Queue, "bytes">): Queue {
  const { conversation, reportedIds, acceptedIds } = queue;
  let bytes = queueOverheadBytes + 4 * (conversation.agentId.length + conversation.conversationId.length);
  for (const ids of [reportedIds, acceptedIds]) for (const id of ids) bytes += idOverheadBytes + 2 * id.length;
  return { ...queue, bytes };
}
