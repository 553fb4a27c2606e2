import type { Clock } from "@letta-environments/platform";
import { approvalRequestWaitMs } from "../limits.ts";

/** Callers that wait until a device makes a request for permission. */
export interface RequestWaiters {
  /** Resolves when the request is made, or after {@link approvalRequestWaitMs}. */
  wait(key: string): Promise<void>;
  /** The request is made. */
  notify(key: string): void;
}

/** Creates {@link RequestWaiters}. */
export function createRequestWaiters(clock: Clock): RequestWaiters {
  const waiters = new Map<string, Set<() => void>>();
  return {
    wait: (key) =>
      new Promise((resolve) => {
        const ofKey = waiters.get(key) ?? new Set();
        const end = (): void => {
          cancel();
          ofKey.delete(end);
          if (ofKey.size === 0 && waiters.get(key) === ofKey) waiters.delete(key);
          resolve();
        };
        const cancel = clock.setTimer(approvalRequestWaitMs, end);
        waiters.set(key, ofKey.add(end));
      }),
    notify(key) {
      for (const end of [...(waiters.get(key) ?? [])]) end();
    },
  };
}
