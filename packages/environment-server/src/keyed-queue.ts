/** Runs tasks with the same key one after the other, in the order in which they were added. Tasks of different keys overlap. */
export interface KeyedQueue {
  /** Resolves or rejects with the task's result. A task that fails does not stop the next one. */
  run<Result>(key: string, task: () => Promise<Result>): Promise<Result>;
  /** Whether a task with this key runs or waits. */
  isBusy(key: string): boolean;
}

/** Creates a {@link KeyedQueue}. A key uses no memory after its last task has ended. */
export function createKeyedQueue(): KeyedQueue {
  const tails = new Map<string, Promise<unknown>>();
  return {
    run(key, task) {
      const result = (tails.get(key) ?? Promise.resolve()).then(task);
      const tail: Promise<void> = result.then(ignore, ignore).then(() => {
        if (tails.get(key) === tail) tails.delete(key);
      });
      tails.set(key, tail);
      return result;
    },
    isBusy: (key) => tails.has(key),
  };
}

function ignore(): void {}
