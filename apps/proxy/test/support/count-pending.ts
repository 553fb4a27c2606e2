import type { ValkeyConnection } from "@letta-environments/platform";

/** A connection that reports when all its requests have a response. */
export interface CountedConnection extends ValkeyConnection {
  /** Number of commands and scripts so far. */
  readonly asked: number;
  settle(): Promise<void>;
}

/** Wraps a connection, so that a virtual clock can wait until the server has responded. */
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
      // The caller that waited for the last response continues first.
      await new Promise((resolve) => void setImmediate(resolve));
    },
  };
}
