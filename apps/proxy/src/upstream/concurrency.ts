/**
 * Limits how many calls to a remote server run at once, in total and for each tenant, so that one tenant's slow calls leave room for the others. A
 * call over a limit waits for a short time. Sends run before reads of a device, and these before lists; within a priority, the longest-waiting call
 * runs first. When too many calls of a tenant wait, its least important one is refused.
 */
import type { Clock } from "@letta-environments/platform";
import type { Operation } from "@letta-environments/schema";
import type { Deadline } from "../lib/deadline.ts";
import type { MaybePromise } from "../lib/steps.ts";

/** The order in which waiting calls run: 0 first. */
export type Priority = 0 | 1 | 2;

/** Returns the priority of an operation. */
export function priorityOf(operation: Operation): Priority {
  if (operation === "listEnvironments") return 2;
  return operation === "retrieveEnvironment" ? 1 : 0;
}

export interface ConcurrencyLimits {
  readonly total: number;
  readonly perTenant: number;
  /** The longest wait of a call, in milliseconds; 0: it does not wait. */
  readonly maxWaitMs: number;
  /** How many calls of a tenant may wait. More would only wait longer, and few of them would run in time. */
  readonly maxWaitingPerTenant: number;
}

/** How long after its deadline a call that has not ended counts as ended, in milliseconds. */
export const overdueMs = 5_000;

/** How long a call waits for others to end, in milliseconds. Longer waits would only make slow responses slower. */
const maxWaitMs = 100;

/**
 * Divides the calls that may run at once. One tenant gets at most half of them, and as many may wait, so that a wait takes about as long as a call.
 *
 * @param mayWait false where requests must not wait for each other
 */
export function divideCalls(total: number, perTenant: number, mayWait: boolean): ConcurrencyLimits {
  const share = Math.min(perTenant, Math.max(1, Math.floor(total / 2)));
  return { total, perTenant: share, maxWaitMs: mayWait ? maxWaitMs : 0, maxWaitingPerTenant: share };
}

/** Gives calls permission to run. */
export interface ConcurrencyLimit {
  /**
   * Returns a function that must be called when the call has ended; `null`: it must not run now. An aborted call stops waiting. A call that has
   * not ended a while after its deadline no longer counts: Workers cancel the work of a caller who has left, and then nothing ends the call.
   */
  acquire(tenant: string, priority: Priority, deadline: Deadline): MaybePromise<(() => void) | null>;
}

interface Waiter {
  readonly tenant: string;
  /** Ends the wait: true if the call may run. */
  readonly settle: (mayRun: boolean) => void;
}

export function createConcurrencyLimit(
  clock: Pick<Clock, "monotonic" | "setTimer">,
  { total, perTenant, maxWaitMs, maxWaitingPerTenant }: ConcurrencyLimits,
): ConcurrencyLimit {
  const running = new Map<string, number>();
  /** When each running call should have ended, by the function that ends it. */
  const calls = new Map<() => void, number>();
  const queues: readonly Set<Waiter>[] = [new Set(), new Set(), new Set()];
  let runningTotal = 0;
  const waiting = new Map<string, number>();

  const hasRoom = (tenant: string): boolean => runningTotal < total && (running.get(tenant) ?? 0) < perTenant;

  function begin(tenant: string, { atMs }: Deadline): () => void {
    runningTotal += 1;
    add(running, tenant, 1);
    const end = (): void => {
      if (!calls.delete(end)) return;
      runningTotal -= 1;
      add(running, tenant, -1);
      next()?.settle(true);
    };
    calls.set(end, atMs);
    return end;
  }

  function next(): Waiter | null {
    for (const queue of queues) {
      for (const waiter of queue) if (hasRoom(waiter.tenant)) return waiter;
    }
    return null;
  }

  /** Makes room for a waiter. Returns false if none of the tenant's waiters is less important. */
  function displace(tenant: string, priority: Priority): boolean {
    for (let lowest = queues.length - 1; lowest > priority; lowest--) {
      const last = [...(queues[lowest] ?? [])].findLast((waiter) => waiter.tenant === tenant);
      if (last !== undefined) {
        last.settle(false);
        return true;
      }
    }
    return false;
  }

  return {
    acquire(tenant, priority, deadline) {
      if (!hasRoom(tenant)) endOverdue(calls, clock.monotonic() - overdueMs);
      if (hasRoom(tenant)) return begin(tenant, deadline);
      const { signal } = deadline;
      if (maxWaitMs === 0 || signal.aborted) return null;
      const isFull = (waiting.get(tenant) ?? 0) >= maxWaitingPerTenant;
      if (isFull && !displace(tenant, priority)) return null;
      return new Promise((resolve) => {
        const stop = (): void => waiter.settle(false);
        const cancelTimer = clock.setTimer(maxWaitMs, stop);
        const waiter: Waiter = {
          tenant,
          settle(mayRun) {
            cancelTimer();
            signal.removeEventListener("abort", stop);
            if (queues[priority]?.delete(waiter) === true) add(waiting, tenant, -1);
            resolve(mayRun ? begin(tenant, deadline) : null);
          },
        };
        signal.addEventListener("abort", stop, { once: true });
        queues[priority]?.add(waiter);
        add(waiting, tenant, 1);
      });
    },
  };
}

/** Ends calls whose deadline is before `beforeMs`. Calls start in about the order of their deadlines, so the loop stops at the first later one. */
function endOverdue(calls: ReadonlyMap<() => void, number>, beforeMs: number): void {
  for (const [end, atMs] of calls) {
    if (atMs >= beforeMs) return;
    end();
  }
}

function add(counts: Map<string, number>, tenant: string, change: 1 | -1): void {
  const count = (counts.get(tenant) ?? 0) + change;
  if (count === 0) counts.delete(tenant);
  else counts.set(tenant, count);
}
