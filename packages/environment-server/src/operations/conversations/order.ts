/**
 * The order of the messages of a conversation. A device that reads two messages at once while no turn runs starts both: the second one waits
 * behind the whole turn of the first, and so does its acknowledgement, as of 0.32.18. Therefore a message waits, for a short while, until the
 * device has acknowledged or listed the one before it. Only messages of the same conversation wait, in the order of their requests; everything
 * else passes. A stop ends the wait of those before it, so that they leave first.
 */
import type { Clock } from "@letta-environments/platform";
import type { PendingDeliveries, PendingDelivery } from "../../delivery/pending.ts";
import { isSameConversation } from "../../dialects/conversation.ts";
import { createKeyedQueue } from "../../keyed-queue.ts";
import { maxMessageWaitMs } from "../../limits.ts";
import type { ConversationScope } from "../../ports.ts";
import type { DeviceConnection } from "../../socket/connection.ts";

/** The turn of a message in the order of its conversation, until it has left or was refused. */
export interface MessageTurn {
  /** The messages of its send. */
  readonly messageIds: readonly string[];
  /** For how long it has waited for earlier messages, in milliseconds; at most {@link maxMessageWaitMs}. */
  waitedMs: number;
  /** Aborted when it may not wait any longer, such as before a stop. */
  readonly waitCancelled: AbortSignal;
  /** Its send is one of the pending ones, and counts there. */
  isPending: boolean;
  /** Releases the queue of its connection to the sends of other conversations, because the message has to wait. */
  readonly releaseQueue: () => void;
}

/** Work that has been started. Its promise is wrapped, so that it can be awaited later. */
export interface Started<Result> {
  readonly result: Promise<Result>;
}

/** A message whose turn is to be started. */
interface OrderedMessage extends Pick<MessageTurn, "messageIds"> {
  readonly scope: ConversationScope;
  /** Sends of other owners have an order of their own. */
  readonly owner: readonly string[];
}

/** The messages of all conversations that have not left. */
export interface MessageOrder {
  /** Starts to send a message behind the earlier ones. Resolves when that is done, or when the message has to wait. */
  start<Result>(message: OrderedMessage, run: (turn: MessageTurn) => Promise<Result>): Promise<Started<Result>>;
  /** The messages of a conversation that have not left and are not pending, the oldest first. */
  waiting(scope: ConversationScope): readonly MessageTurn[];
  /**
   * Ends the wait of the messages of a conversation. Resolves when they have left, but not later than in {@link maxMessageWaitMs}: the device may
   * have to be asked about one of them.
   *
   * @param arrived settles when the sends that came before have their place here
   */
  cancelWaits(scope: ConversationScope, arrived: Promise<unknown>): Promise<void>;
}

interface StartedTurn {
  readonly turn: MessageTurn;
  readonly cancelWait: () => void;
  readonly ended: Promise<unknown>;
}

/** Creates a {@link MessageOrder}. */
export function createMessageOrder(clock: Clock): MessageOrder {
  const queue = createKeyedQueue();
  const turns = new Map<string, Set<StartedTurn>>();
  const keyOf = ({ environmentId, agentId, conversationId }: ConversationScope): string =>
    JSON.stringify([environmentId, agentId, conversationId]);
  const turnsOf = (scope: ConversationScope): readonly StartedTurn[] => [...(turns.get(keyOf(scope)) ?? [])];

  function add(key: string, started: StartedTurn): void {
    const ofConversation = turns.get(key) ?? new Set();
    turns.set(key, ofConversation.add(started));
    void started.ended.then(() => {
      ofConversation.delete(started);
      if (ofConversation.size === 0) turns.delete(key);
    });
  }

  return {
    async start({ messageIds, scope, owner }, run) {
      const key = keyOf(scope);
      const queueKey = JSON.stringify([key, ...owner]);
      const isFirst = !queue.isBusy(queueKey);
      const startedAtMs = clock.monotonic();
      let releaseQueue = (): void => undefined;
      const waits = new Promise<void>((resolve) => {
        releaseQueue = resolve;
      });
      const wait = new AbortController();
      const turn = { messageIds, waitedMs: 0, waitCancelled: wait.signal, isPending: false, releaseQueue };
      const result = queue.run(queueKey, () => {
        turn.waitedMs = Math.min(maxMessageWaitMs, clock.monotonic() - startedAtMs);
        return run(turn);
      });
      add(key, { turn, cancelWait: () => wait.abort(), ended: Promise.allSettled([result]) });
      if (isFirst) await Promise.race([result, waits]);
      return { result };
    },
    waiting: (scope) =>
      turnsOf(scope)
        .map(({ turn }) => turn)
        .filter((turn) => !turn.isPending),
    async cancelWaits(scope, arrived) {
      const allEnded = arrived.then(() => {
        const started = turnsOf(scope);
        for (const { cancelWait } of started) cancelWait();
        return Promise.all(started.map(({ ended }) => ended));
      });
      await new Promise<void>((resolve) => {
        const cancelTimer = clock.setTimer(maxMessageWaitMs, resolve);
        void allEnded.then(cancelTimer).then(resolve);
      });
    },
  };
}

/** The message of a conversation whose acknowledgement a message has to wait for; `null` when it may leave. */
export function findPredecessor(
  { pending }: { readonly pending: Pick<PendingDeliveries, "waiting"> },
  scope: ConversationScope,
  { waitedMs, waitCancelled }: MessageTurn,
  { queues }: Pick<DeviceConnection, "queues">,
): PendingDelivery | null {
  if (waitedMs >= maxMessageWaitMs || waitCancelled.aborted) return null;
  // A device with a queue adds what it reads to it, and acknowledges that at once. That a turn runs is not enough, because it can end while two
  // messages are on their way. With a queue, the next turn begins when it ends; that one would have to end as well before they arrive.
  if (queues !== null && queues.count(scope, []) > 0) return null;
  const isBefore = ({ sent, isDecision, reported, delivery }: PendingDelivery): boolean =>
    sent && !isDecision && reported === null && isSameConversation(delivery.scope, scope);
  return pending.waiting(scope.environmentId).find(isBefore) ?? null;
}

/** Waits until the device has an earlier message or its outcome is known, the wait of the turn is over, or the caller has left. */
export async function awaitPredecessor(
  { clock }: { readonly clock: Clock },
  { turn, predecessor }: { readonly turn: MessageTurn; readonly predecessor: PendingDelivery },
  signal: AbortSignal | undefined,
): Promise<void> {
  if (signal?.aborted === true || turn.waitCancelled.aborted) return;
  const startedAtMs = clock.monotonic();
  turn.releaseQueue();
  await new Promise<void>((resolve) => {
    const end = (): void => {
      cancelTimer();
      signal?.removeEventListener("abort", end);
      turn.waitCancelled.removeEventListener("abort", end);
      resolve();
    };
    const cancelTimer = clock.setTimer(maxMessageWaitMs - turn.waitedMs, end);
    signal?.addEventListener("abort", end);
    turn.waitCancelled.addEventListener("abort", end);
    void predecessor.ended.then(end);
  });
  turn.waitedMs = Math.min(maxMessageWaitMs, turn.waitedMs + clock.monotonic() - startedAtMs);
}
