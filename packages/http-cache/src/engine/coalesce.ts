/**
 * Coalescing: of all calls that need the same response at the same time, one (the leader) fetches it and the others (its followers) wait. A
 * follower never receives the leader's response, nor its error. When the fetch ends, the coalescer tells each follower to read the store again,
 * to fetch on its own, or to become the leader. A follower that finds nothing for it in the store fetches on its own.
 */
import type { Background, Coalescer, FetchOutcome, Follower, FollowerAction, Leader, Solo } from "../ports.ts";
import type { CacheCall, FetchDecision } from "./strategy.ts";

/** A call that must fetch. */
export interface PendingFetch<Call extends CacheCall> {
  readonly call: Call;
  readonly decision: FetchDecision;
  /** See `Forwarded.isCollapsed`. */
  readonly isCollapsed: boolean | null;
}

/** The result of a fetch, and its outcome for the calls that waited. */
export interface Exchanged<Result> {
  readonly result: Result;
  readonly outcome: FetchOutcome;
}

/** The steps of a cache that coalescing coordinates. */
export interface CoalescingSteps<Call extends CacheCall, Result> {
  /** Calls with the same key wait for each other; a call with `null` does not wait. */
  keyOf(pending: PendingFetch<Call>): string | null;
  /** Reads the store again. Returns the result, or what must be fetched now. */
  lookAgain(
    pending: PendingFetch<Call>,
  ): Promise<{ readonly result: Result } | { readonly pending: PendingFetch<Call> }>;
  exchange(pending: PendingFetch<Call>): Promise<Exchanged<Result>>;
}

/** Returns the function that fetches once for all calls that need the same response at the same time. */
export function createCoalescing<Call extends CacheCall, Result>(
  coalescer: Coalescer,
  steps: CoalescingSteps<Call, Result>,
): (pending: PendingFetch<Call>) => Promise<Result> {
  type Pending = PendingFetch<Call>;

  function coalesce(pending: Pending): Promise<Result> {
    const key = steps.keyOf(pending);
    if (key === null) return fetchAlone(pending);
    const entered = coalescer.enter(key);
    const play = (role: Leader | Follower | Solo): Promise<Result> => {
      if (role.role === "solo") return fetchAlone(pending);
      if (role.role === "follower") return follow(pending, key, role);
      return entered instanceof Promise ? leadUnlessStored(pending, role) : lead(pending, role);
    };
    return entered instanceof Promise ? entered.then(play) : play(entered);
  }

  async function fetchAlone(pending: Pending): Promise<Result> {
    return (await steps.exchange(pending)).result;
  }

  /** Waits for the end of the leader's fetch, and does what the coalescer says. */
  async function follow(pending: Pending, key: string, follower: Follower): Promise<Result> {
    const action = await waitForAction(follower, pending.call.signal);
    const waited = { ...pending, isCollapsed: false };
    if (typeof action === "object") return lead(waited, action);
    if (action === "fetch-alone") return fetchAlone(waited);
    const found = await steps.lookAgain(waited);
    if ("result" in found) return found.result;
    // Wait a second time only if the stored response revealed that this call needs another variant, so that no call waits three times.
    const needsOtherVariant = pending.isCollapsed === null && steps.keyOf(found.pending) !== key;
    return needsOtherVariant ? coalesce(found.pending) : fetchAlone(found.pending);
  }

  /** The previous leader may have finished while this call waited for its role, so the response may already be stored. */
  async function leadUnlessStored(pending: Pending, leader: Leader): Promise<Result> {
    const { signal } = pending.call;
    if (signal?.aborted === true) {
      leader.settle("abandoned");
      throw signal.reason;
    }
    const found = await steps.lookAgain(pending);
    if ("pending" in found) return lead(found.pending, leader);
    leader.settle("stored");
    return found.result;
  }

  async function lead(pending: Pending, leader: Leader): Promise<Result> {
    const { signal } = pending.call;
    // Followers do not wait until the origin notices that this client went away.
    const abandon = (): void => leader.settle("abandoned");
    signal?.addEventListener("abort", abandon, { once: true });
    try {
      const { result, outcome } = await steps.exchange(pending);
      leader.settle(outcome);
      return result;
    } catch (cause) {
      leader.settle(signal?.aborted === true ? "abandoned" : "failed");
      throw cause;
    } finally {
      signal?.removeEventListener("abort", abandon);
    }
  }

  return coalesce;
}

/**
 * Fetches in the background, after a stale response was sent (RFC 5861, 3), unless a call with the same key is in flight. A failure is
 * only reported, also one of `background`.
 */
export function revalidateOnce(
  coalescer: Coalescer,
  key: string,
  exchange: () => Promise<Exchanged<unknown>>,
  background: Background,
  onError: (cause: unknown) => void,
): void {
  const revalidate = (role: Leader | Follower | Solo): Promise<void> | null => {
    if (role.role === "follower") {
      role.leave();
      return null;
    }
    const settle = role.role === "leader" ? role.settle : () => undefined;
    return exchange().then(
      ({ outcome }) => settle(outcome),
      (cause: unknown) => {
        settle("failed");
        onError(cause);
      },
    );
  };
  const entered = coalescer.enter(key);
  const work = entered instanceof Promise ? entered.then(revalidate) : revalidate(entered);
  if (work === null) return;
  new Promise<void>((resolve) => resolve(background(work))).catch(onError);
}

/** Rejects with the signal's reason if the client goes away while it waits. */
async function waitForAction(follower: Follower, signal: AbortSignal | undefined): Promise<FollowerAction> {
  if (signal === undefined) return follower.action;
  let stop: () => void = () => undefined;
  const aborted = new Promise<never>((_, reject) => {
    stop = () => {
      follower.leave();
      reject(signal.reason as Error);
    };
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
  });
  try {
    return await Promise.race([follower.action, aborted]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}
