import type { ValkeyAddress } from "../parse-valkey-url.ts";
import { ValkeyError } from "../valkey.ts";
import { isServerError, timedOut } from "./valkey-failure.ts";

/** The time before a connection stood for the first time, in which commands wait for it. */
export interface FirstConnection {
  /** Resolves when the connection stood once. Rejects after `waitMs`, and at once when the server refuses to let it in. */
  wait(waitMs: number): Promise<void>;
  stands(): void;
  failed(cause: Error): void;
  closed(): void;
}

/** Creates a {@link FirstConnection}. */
export function createFirstConnection(address: ValkeyAddress): FirstConnection {
  const waiting = new Set<(error: ValkeyError | null) => void>();
  let isOver = false;
  let lastFailure: Error | null = null;

  function settle(error: ValkeyError | null): void {
    for (const finish of waiting) finish(error);
  }

  return {
    wait(waitMs) {
      if (isOver) return Promise.resolve();
      return new Promise((resolve, reject) => {
        const finish = (error: ValkeyError | null): void => {
          clearTimeout(timer);
          waiting.delete(finish);
          if (error === null) resolve();
          else reject(error);
        };
        const timer = setTimeout(() => finish(timedOut(address, lastFailure)), waitMs);
        waiting.add(finish);
      });
    },
    stands() {
      isOver = true;
      settle(null);
    },
    failed(cause) {
      lastFailure = cause;
      if (isServerError(cause)) settle(timedOut(address, cause));
    },
    closed() {
      isOver = true;
      settle(new ValkeyError("unreachable", "the connection to Valkey was closed"));
    },
  };
}
