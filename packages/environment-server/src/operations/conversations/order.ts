/**
 * The order of the messages of a conversation. A device that reads two messages while no turn runs starts both: the second one, and its
 * acknowledgement, wait for the whole turn of the first (as of 0.32.18). A message therefore waits briefly until the device has acknowledged or listed
 * the one before it. Only messages of the same conversation wait, in the order of their requests. A stop ends their wait, so that they are sent first.
 * One of a key with limits that has not left when the stop is sent must not run after it.
 */
import type { Clock } from "@letta-environments/platform";
import type { PendingDeliveries, PendingDelivery } from "../../delivery/pending.ts";
import { createGroups, createSharedMembers } from "../../collections.ts";
import { modeKeyOf } from "../../device-commands/conversation-modes.ts";
import { isSameConversation } from "../../dialects/conversation.ts";
import { createKeyedQueue } from "../../keyed-queue.ts";
import { maxKnownStops, maxMessageWaitMs } from "../../limits.ts";
import type { ConversationScope } from "../../ports.ts";
import type { DeviceConnection } from "../../socket/connection.ts";

/** The place of a message in the order of its conversation, until it has left or was refused. */
export interface MessagePlace {
  /** The messages of its send. */
  readonly messageIds: readonly string[];
  /** Characters that they take in the queue of the device. */
  readonly length: number;
  /** When it got its place, in monotonic time. */
  readonly requestedAtMs: number;
  /** Aborted when it must not wait any longer, such as before a stop. */
  readonly waitCancelled: AbortSignal;
  /** Its send is already pending, and is counted there. */
  isPending: boolean;
  /** Releases the queue of its connection to the sends of other conversations, because the message must wait. */
  readonly releaseQueue: () => void;
}

/** Started work. The promise is a member, because an async function that returned it directly would wait for it. */
export interface Started<Result> {
  readonly result: Promise<Result>;
}

/** A message that is to get a place. */
interface OrderedMessage extends Pick<MessagePlace, "messageIds" | "length"> {
  readonly scope: ConversationScope;
  /** Sends with another value have their own order; see `Send`. */
  readonly separateQueueKeyId: string | null;
}

/** The messages of all conversations that have not left. */
export interface MessageOrder {
  /** Starts to send a message after the earlier ones. Resolves when that is done, or when the message must wait. */
  start<Result>(message: OrderedMessage, run: (place: MessagePlace) => Promise<Result>): Promise<Started<Result>>;
  /** The messages of a conversation that have not left and are not pending, the oldest first. */
  waiting(scope: ConversationScope): readonly MessagePlace[];
  /**
   * Ends the wait of the messages of a conversation. Resolves when they have left, or at the latest after {@link maxMessageWaitMs}, because one
   * of them may need a query to the device.
   *
   * @param earlierStarted settles when the sends that came before have their place here
   */
  cancelWaits(scope: ConversationScope, earlierStarted: Promise<unknown>): Promise<void>;
  /** Returns the number of a request that has just arrived; a later one has a higher number. */
  arrive(): number;
  /** Notes that a stop is sent, with the number of its request. */
  markStopped(tenant: string, scope: ConversationScope, arrival: number): void;
  /** Whether a stop was sent that arrived later than a message. */
  isStopped(tenant: string, scope: ConversationScope, arrival: number): boolean;
}

interface StartedMessage {
  readonly agentId: string;
  readonly place: MessagePlace;
  readonly cancelWait: () => void;
  readonly ended: Promise<unknown>;
}

interface LastStop {
  readonly key: string;
  readonly arrival: number;
}

export function createMessageOrder(clock: Clock): MessageOrder {
  const queue = createKeyedQueue();
  /** By the conversation that a stop ends. */
  const messages = createGroups<StartedMessage>();
  let lastArrival = 0;
  /** The number of the last stop of each conversation, by tenant. */
  const stops = createSharedMembers<LastStop>(maxKnownStops, ({ key }) => key);
  const keyOf = ({ environmentId, agentId, conversationId }: ConversationScope): string =>
    JSON.stringify([environmentId, agentId, conversationId]);
  // A device finds a named conversation by its id alone, so a stop may name no agent, or another one.
  const stopKeyOf = (scope: ConversationScope): string => JSON.stringify([scope.environmentId, modeKeyOf(scope)]);

  return {
    async start({ messageIds, length, scope, separateQueueKeyId }, run) {
      const key = stopKeyOf(scope);
      const queueKey = JSON.stringify([keyOf(scope), separateQueueKeyId]);
      const isAlone = !queue.isBusy(queueKey);
      const requestedAtMs = clock.monotonic();
      const { promise: queueReleased, resolve: releaseQueue } = Promise.withResolvers<void>();
      const wait = new AbortController();
      const place = { messageIds, length, requestedAtMs, waitCancelled: wait.signal, isPending: false, releaseQueue };
      const result = queue.run(queueKey, () => run(place));
      const ended = Promise.allSettled([result]);
      const started: StartedMessage = { agentId: scope.agentId, place, cancelWait: () => wait.abort(), ended };
      messages.add(key, started);
      void ended.then(() => messages.delete(key, started));
      if (isAlone) await Promise.race([result, queueReleased]);
      return { result };
    },
    arrive: () => ++lastArrival,
    markStopped(tenant, scope, arrival) {
      const key = stopKeyOf(scope);
      stops.add(tenant, { key, arrival: Math.max(stops.find(tenant, key)?.arrival ?? 0, arrival) });
    },
    isStopped: (tenant, scope, arrival) => arrival < (stops.find(tenant, stopKeyOf(scope))?.arrival ?? 0),
    waiting: (scope) =>
      messages
        .of(stopKeyOf(scope))
        .filter(({ agentId }) => agentId === scope.agentId)
        .map(({ place }) => place)
        .filter((place) => !place.isPending),
    async cancelWaits(scope, earlierStarted) {
      const allEnded = earlierStarted.then(() => {
        const started = messages.of(stopKeyOf(scope));
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

/** The message of a conversation whose acknowledgement a message must wait for; `null` when it may leave. */
export function findPredecessor(
  { pending, clock }: { readonly pending: Pick<PendingDeliveries, "listWaiting">; readonly clock: Clock },
  scope: ConversationScope,
  place: MessagePlace,
  { queues }: Pick<DeviceConnection, "queues">,
): PendingDelivery | null {
  if (place.waitCancelled.aborted) return null;
  // If messages are queued, the device adds new ones to its queue and acknowledges them immediately. A running turn is not enough, because it can end
  // before the messages arrive. With a queue, another turn follows, which would have to end before they arrive as well.
  if (queues !== null && queues.sizeOf(scope, []).count > 0) return null;
  const isBefore = ({ sentAtMs, isDecision, reportedOutcome, delivery }: PendingDelivery): boolean =>
    sentAtMs !== null && !isDecision && reportedOutcome === null && isSameConversation(delivery.scope, scope);
  const oldest = pending.listWaiting(scope.environmentId).find(isBefore);
  return oldest !== undefined && waitEndMs(place, oldest) > clock.monotonic() ? oldest : null;
}

/** When a message no longer waits for an earlier one, in monotonic time. The wait counts from when both were there. */
function waitEndMs({ requestedAtMs }: MessagePlace, { sentAtMs }: PendingDelivery): number {
  return Math.max(requestedAtMs, sentAtMs ?? 0) + maxMessageWaitMs;
}

/** Waits until the device has reported the earlier message or its outcome is known, the wait is over or cancelled, or the caller has disconnected. */
export async function awaitPredecessor(
  { clock }: { readonly clock: Clock },
  { place, predecessor }: { readonly place: MessagePlace; readonly predecessor: PendingDelivery },
  signal: AbortSignal | undefined,
): Promise<void> {
  if (signal?.aborted === true || place.waitCancelled.aborted) return;
  place.releaseQueue();
  await new Promise<void>((resolve) => {
    const end = (): void => {
      cancelTimer();
      signal?.removeEventListener("abort", end);
      place.waitCancelled.removeEventListener("abort", end);
      resolve();
    };
    const cancelTimer = clock.setTimer(waitEndMs(place, predecessor) - clock.monotonic(), end);
    signal?.addEventListener("abort", end);
    place.waitCancelled.addEventListener("abort", end);
    void predecessor.ended.then(end);
  });
}
