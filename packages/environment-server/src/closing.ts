/** The shutdown of a server: whether it has begun, and the work that it waits for. */

/** Whether the server is closing, and the functions to call then. */
export interface Closing {
  readonly hasBegun: boolean;
  onBegin(run: () => void): () => void;
  begin(): void;
}

export function createClosing(): Closing {
  const listeners = new Set<() => void>();
  let hasBegun = false;
  return {
    get hasBegun() {
      return hasBegun;
    },
    onBegin(run: () => void): () => void {
      listeners.add(run);
      return () => void listeners.delete(run);
    },
    begin() {
      hasBegun = true;
      for (const run of listeners) run();
    },
  };
}

/** Work that a closing server waits for. */
export interface RunningWork {
  /** Adds work, and settles with its result. */
  track<Result>(result: Promise<Result>): Promise<Result>;
  /** Resolves when all work has ended. */
  settled(): Promise<unknown>;
}

export function createRunningWork(): RunningWork {
  const running = new Set<Promise<unknown>>();
  return {
    async track<Result>(result: Promise<Result>): Promise<Result> {
      running.add(result);
      try {
        return await result;
      } finally {
        running.delete(result);
      }
    },
    settled: () => Promise.allSettled(running),
  };
}
