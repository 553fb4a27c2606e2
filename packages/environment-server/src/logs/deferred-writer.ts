/**
 * Writes changes to a log. A change may wait, so that several share a write and a superseded one is not written at all. Two writes of the
 * same key never overtake each other. A failed write is repeated until a later change of its key replaces it, so that a log catches up
 * after a failure.
 */
import type { Clock } from "@letta-environments/platform";
import { dropOldest } from "../collections.ts";
import { maintenanceBatchSize } from "../limits.ts";

export interface DeferredWriter<Change> {
  /** Writes a change within the delay. */
  writeLater(key: string, change: Change): void;
  /** Writes a change now. Resolves with whether that succeeded; never rejects. */
  writeNow(key: string, change: Change): Promise<boolean>;
  /** Forgets the unwritten change of a key. */
  cancel(key: string): void;
  /** The last change of a key, while it is not written yet. */
  unsavedChange(key: string): Change | undefined;
  /** Resolves when the current write of a key has ended; `undefined` if there is none. */
  currentWrite(key: string): Promise<unknown> | undefined;
  /** Writes everything. Resolves with whether that succeeded. */
  flush(): Promise<boolean>;
  /** Writes everything once more; nothing is written afterwards. */
  close(): Promise<void>;
}

export interface DeferredWriterOptions<Change> {
  readonly clock: Clock;
  /** How long a change may wait, in milliseconds; also the pause before a failed write is repeated. */
  readonly delayMs: number;
  /** How many changes may wait while the log fails. The oldest are dropped. */
  readonly maxWaiting: number;
  readonly write: (changes: readonly Change[]) => Promise<void>;
  readonly onFailure: (cause: unknown) => void;
  /** Receives a key whose last change is written. */
  readonly onSaved?: (key: string) => void;
}

/** A write that has begun, or waits for an earlier one of the same key. */
interface Write<Change> {
  readonly change: Change;
  readonly done: Promise<boolean>;
}

export function createDeferredWriter<Change>(options: DeferredWriterOptions<Change>): DeferredWriter<Change> {
  const { clock, delayMs, maxWaiting, write, onFailure, onSaved } = options;
  const waiting = new Map<string, Change>();
  /** The last write of each key. */
  const writes = new Map<string, Write<Change>>();
  const cancelled = new Set<string>();
  let cancelTimer: (() => void) | null = null;
  let isClosed = false;

  function writeLater(key: string, change: Change): void {
    waiting.set(key, change);
    dropOldest(waiting, maxWaiting);
    if (!isClosed) cancelTimer ??= clock.setTimer(delayMs, writeWaiting);
  }

  /** Begins after the earlier writes of the same keys, which may take longer than this one. */
  function begin(changes: readonly (readonly [string, Change])[]): Promise<boolean> {
    const earlier = new Set(changes.flatMap(([key]) => writes.get(key)?.done ?? []));
    const run = (): Promise<void> => write(changes.map(([, change]) => change));
    const done: Promise<boolean> = (earlier.size === 0 ? run() : Promise.all(earlier).then(run)).then(
      () => {
        for (const [key] of end(changes, done)) if (!waiting.has(key)) onSaved?.(key);
        return true;
      },
      (cause: unknown) => {
        onFailure(cause);
        for (const [key, change] of end(changes, done)) if (!waiting.has(key)) writeLater(key, change);
        return false;
      },
    );
    for (const [key] of changes) cancelled.delete(key);
    for (const [key, change] of changes) writes.set(key, { change, done });
    return done;
  }

  /** Forgets a write. Returns its changes that were not cancelled and have no later write. */
  function end(changes: readonly (readonly [string, Change])[], done: Promise<boolean>) {
    const last = changes.filter(([key]) => writes.get(key)?.done === done);
    for (const [key] of last) writes.delete(key);
    return last.filter(([key]) => !cancelled.delete(key));
  }

  function writeWaiting(): void {
    cancelTimer?.();
    cancelTimer = null;
    const changes = [...waiting];
    waiting.clear();
    for (let start = 0; start < changes.length; start += maintenanceBatchSize)
      void begin(changes.slice(start, start + maintenanceBatchSize));
  }

  async function flush(): Promise<boolean> {
    writeWaiting();
    return (await Promise.all([...writes.values()].map(({ done }) => done))).every(Boolean);
  }

  return {
    writeLater,
    writeNow(key, change) {
      waiting.delete(key);
      return begin([[key, change]]);
    },
    cancel(key) {
      waiting.delete(key);
      if (writes.has(key)) cancelled.add(key);
    },
    unsavedChange: (key) => waiting.get(key) ?? writes.get(key)?.change,
    currentWrite: (key) => writes.get(key)?.done,
    flush,
    async close() {
      isClosed = true;
      await flush();
    },
  };
}
