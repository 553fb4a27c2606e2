import type { ValkeyConnection } from "@letta-environments/platform";

/** A connection that tells when everything that was asked is answered. */
export interface CountedConnection extends ValkeyConnection {
  /** Number of commands and scripts so far. */
  readonly asked: number;
  settle(): Promise<void>;
}

/** Wraps a connection, so that a virtual clock can stand still until the server has answered. */
export function countPending(valkey: ValkeyConnection): CountedConnection {
  const pending = new Set<Promise<unknown>>();
  let asked = 0;

  function count<Answer>(answer: Promise<Answer>): Promise<Answer> {
    asked += 1;
    const counted = answer.finally(() => void pending.delete(counted));
    pending.add(counted);
    return counted;
  }

  return {
    command: (words, options) => count(valkey.command(words, options)),
    evaluate: (script, keys, values, options) => count(valkey.evaluate(script, keys, values, options)),
    close: () => valkey.close(),
    get asked() {
      return asked;
    },
    async settle() {
      while (pending.size > 0) await Promise.allSettled(pending);
      // Whoever waited for the last answer goes on first.
      await new Promise((resolve) => void setImmediate(resolve));
    },
  };
}
