/**
 * Writes changes to a log. A change may wait, so that several share a write and a superseded one is not written at all. Two writes of the
 * same key never overtake each other. A failed write is repeated until a later change of its key replaces it, so that a log catches up
 * after a failure.
 */
import type { Clock } from "@letta-environments/platform";
import { createGroups } from "../collections.ts";
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
  /** How many changes may wait while the log fails. Above it, the owner with the most loses its oldest. */
  readonly maxWaiting: number;
  /** The tenant of a change. All changes of a key have the same one. */
  readonly ownerOf: (change: Change) => string;
  readonly write: (changes: readonly Change[]) => Promise<void>;
  readonly onFailure: (cause: unknown) => void;
  /** Receives a key whose last change no longer waits: it is written, dropped or cancelled. */
  readonly onDone?: (key: string) => void;
}

/** A write that has begun, or waits for an earlier one of the same key. */
interface Write<Change> {
  readonly change: Change;
  readonly done: Promise<boolean>;
}

export function createDeferredWriter<Change>(options: DeferredWriterOptions<Change>): DeferredWriter<Change> {
  const { clock, delayMs, write, onFailure, onDone } = options;
  const waiting = createWaitingChanges(options);
  /** The last write of each key. */
  const writes = new Map<string, Write<Change>>();
  const cancelled = new Set<string>();
  let cancelTimer: (() => void) | null = null;
  let isClosed = false;

  function writeLater(key: string, change: Change): void {
    const dropped = waiting.set(key, change);
    if (dropped !== undefined && !writes.has(dropped)) onDone?.(dropped);
    if (!isClosed) cancelTimer ??= clock.setTimer(delayMs, writeWaiting);
  }

  /** Begins after the earlier writes of the same keys, which may take longer than this one. */
  function begin(changes: readonly (readonly [string, Change])[]): Promise<boolean> {
    const earlier = new Set(changes.flatMap(([key]) => writes.get(key)?.done ?? []));
    const run = (): Promise<void> => write(changes.map(([, change]) => change));
    const done: Promise<boolean> = (earlier.size === 0 ? run() : Promise.all(earlier).then(run)).then(
      () => {
        for (const [key] of end(changes, done)) if (!waiting.has(key)) onDone?.(key);
        return true;
      },
      (cause: unknown) => {
        onFailure(cause);
        const last = end(changes, done).filter(([key]) => !waiting.has(key));
        for (const [key, change] of last) writeLater(key, change);
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
    const changes = waiting.takeAll();
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
      onDone?.(key);
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

/** Creates a map of the changes that wait. When there are too many, the owner with the most loses its oldest. */
function createWaitingChanges<Change>({
  maxWaiting,
  ownerOf,
}: Pick<DeferredWriterOptions<Change>, "maxWaiting" | "ownerOf">) {
  const changes = new Map<string, Change>();
  const keys = createGroups<string>();

  function remove(key: string): void {
    const change = changes.get(key);
    if (change === undefined) return;
    changes.delete(key);
    keys.delete(ownerOf(change), key);
  }

  return {
    get: (key: string) => changes.get(key),
    has: (key: string) => changes.has(key),
    delete: remove,
    /** Returns the key of the change that was dropped for this one. */
    set(key: string, change: Change): string | undefined {
      changes.set(key, change);
      keys.add(ownerOf(change), key);
      const excess = changes.size > maxWaiting ? keys.firstOf(keys.largest() ?? "") : undefined;
      if (excess !== undefined) remove(excess);
      return excess;
    },
    takeAll(): readonly (readonly [string, Change])[] {
      const all = [...changes];
      for (const [key] of all) remove(key);
      return all;
    },
  };
}
