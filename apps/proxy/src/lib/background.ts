/** Work that goes on after a response, on runtimes that do not wait for it themselves. */
import { type Clock, sleep } from "@letta-environments/platform";

/** Work that may outlast its request. A process waits for it before it stops. */
export interface BackgroundWork {
  /** How much work is running. */
  readonly size: number;
  readonly start: (work: Promise<unknown>) => void;
  /** Resolves when no work is left, or after `graceMs` milliseconds. */
  readonly finish: (graceMs: number) => Promise<void>;
}

/** Creates {@link BackgroundWork}. The work itself reports its failures. */
export function createBackgroundWork(clock: Pick<Clock, "setTimer">): BackgroundWork {
  const running = new Set<Promise<unknown>>();
  return {
    get size() {
      return running.size;
    },
    start(work) {
      running.add(work);
      const end = (): void => void running.delete(work);
      work.then(end, end);
    },
    async finish(graceMs) {
      const end = new AbortController();
      await Promise.race([sleep(clock, graceMs, end.signal), Promise.allSettled(running)]);
      end.abort();
    },
  };
}
