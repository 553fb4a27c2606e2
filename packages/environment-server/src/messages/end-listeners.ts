/** Callers that wait until a message has ended and is stored. */
export interface EndListeners {
  /** Returns a function that stops the listener. */
  add(environmentId: string, messageId: string, run: () => void): () => void;
  notify(environmentId: string, messageId: string): void;
}

export function createEndListeners(): EndListeners {
  const listeners = new Map<string, Set<() => void>>();
  return {
    add(environmentId, messageId, run) {
      const key = keyOf(environmentId, messageId);
      const runs = listeners.get(key) ?? new Set();
      listeners.set(key, runs.add(run));
      return () => {
        runs.delete(run);
        if (runs.size === 0 && listeners.get(key) === runs) listeners.delete(key);
      };
    },
    notify(environmentId, messageId) {
      for (const run of listeners.get(keyOf(environmentId, messageId)) ?? []) run();
    },
  };
}

function keyOf(environmentId: string, messageId: string): string {
  return JSON.stringify([environmentId, messageId]);
}
