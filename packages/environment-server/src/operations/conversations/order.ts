/**
 * The order of the messages of a conversation. A device that reads two messages at once while no turn runs starts both: the second one waits
 * behind the whole turn of the first, and so does its acknowledgement, as of 0.32.18. Therefore a message waits, for a short while, until the
 * device has acknowledged the one before it. Only messages of the same conversation wait, in the order of their requests; everything else
 * passes.
 */
import type { PendingDelivery } from "../../delivery/pending.ts";
import { isSameConversation } from "../../dialects/conversation.ts";
import { maxMessageWaitMs } from "../../limits.ts";
import type { ConversationScope } from "../../ports.ts";
import type { ServerContext } from "../context.ts";

/** The turn of a message in the order of its conversation. */
export interface MessageTurn {
  /** For how long it has waited for earlier messages, in milliseconds; at most {@link maxMessageWaitMs}. */
  waitedMs: number;
  /** Lets the sends of other conversations pass, because the message has to wait. */
  readonly letOthersPass: () => void;
}

/** Work that has been started. Its promise is wrapped, so that it can be awaited later. */
export interface Started<Result> {
  readonly result: Promise<Result>;
}

/**
 * Starts to send a message behind the earlier ones of its conversation. Resolves when that is done, or when the message has to wait.
 *
 * @param owner sends of other owners have an order of their own
 */
export async function startInOrder<Result>(
  { queue, clock }: Pick<ServerContext, "queue" | "clock">,
  { environmentId, agentId, conversationId }: ConversationScope,
  owner: readonly string[],
  run: (turn: MessageTurn) => Promise<Result>,
): Promise<Started<Result>> {
  const key = JSON.stringify(["messages", environmentId, agentId, conversationId, ...owner]);
  const isFirst = !queue.isBusy(key);
  const startedAtMs = clock.monotonic();
  let letOthersPass = (): void => undefined;
  const isWaiting = new Promise<void>((resolve) => {
    letOthersPass = resolve;
  });
  const result = queue.run(key, () => {
    const waitedMs = Math.min(maxMessageWaitMs, clock.monotonic() - startedAtMs);
    return run({ waitedMs, letOthersPass });
  });
  if (isFirst) await Promise.race([result, isWaiting]);
  return { result };
}

/** The message of a conversation whose acknowledgement a message has to wait for; `null` when it may leave. */
export function findPredecessor(
  { pending }: Pick<ServerContext, "pending">,
  scope: ConversationScope,
  { waitedMs }: MessageTurn,
): PendingDelivery | null {
  if (waitedMs >= maxMessageWaitMs) return null;
  const isBefore = ({ sent, isDecision, delivery }: PendingDelivery): boolean =>
    sent && !isDecision && isSameConversation(delivery.scope, scope);
  return pending.waiting(scope.environmentId).find(isBefore) ?? null;
}

/** Waits until the outcome of an earlier message is known, the wait of the turn is over, or the caller has left. */
export async function awaitPredecessor(
  { clock }: Pick<ServerContext, "clock">,
  { turn, predecessor }: { readonly turn: MessageTurn; readonly predecessor: PendingDelivery },
  signal: AbortSignal | undefined,
): Promise<void> {
  if (signal?.aborted === true) return;
  const startedAtMs = clock.monotonic();
  turn.letOthersPass();
  const isOver = await new Promise<boolean>((resolve) => {
    const end = (): void => {
      cancelTimer();
      signal?.removeEventListener("abort", end);
      resolve(false);
    };
    const cancelTimer = clock.setTimer(maxMessageWaitMs - turn.waitedMs, () => {
      signal?.removeEventListener("abort", end);
      resolve(true);
    });
    signal?.addEventListener("abort", end);
    void predecessor.ended.then(end);
  });
  turn.waitedMs = isOver ? maxMessageWaitMs : turn.waitedMs + clock.monotonic() - startedAtMs;
}
