/** Runs tasks of one key one after the other, in the order in which they were given; tasks of different keys overlap. */
export interface SerialLanes {
  /** Resolves or rejects as the task does. A failed task does not stop the ones behind it. */
  run<Result>(key: string, task: () => Promise<Result>): Promise<Result>;
}

/** Creates {@link SerialLanes}. A lane takes no memory once its last task has ended. */
export function createSerialLanes(): SerialLanes {
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
  };
}

function ignore(): void {}
