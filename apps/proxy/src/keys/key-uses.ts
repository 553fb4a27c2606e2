/**
 * Last uses of keys. A request notes its key in memory only; the uses of all keys are written together, so that a busy gateway
 * does not write for every request. A crash loses what has not been written.
 */
import type { Clock } from "@letta-environments/platform";
import type { KeyStore } from "../ports.ts";

/** The longest time that a use waits in memory, in milliseconds. */
export const useFlushMs = 30_000;

/** The most keys whose uses wait in a process that can wait; any more are written immediately. */
const maxWaitingKeys = 131_072;

/**
 * The most uses in one write, and the pause between two writes, in milliseconds: SQLite blocks the event loop while it writes, about 5
 * ms for 1,000 uses.
 */
const usesOfWrite = 1_000;
const pauseMs = 20;

/** Uses on their way to the store. */
export interface KeyUses {
  /** Notes a use. It only writes to memory. */
  note(keyId: string): void;
  /** Writes the waiting uses. Resolves when they are written, or wait again because the store failed. */
  flush(): Promise<void>;
}

/** Creates {@link KeyUses}: the uses of all keys are written at most every 30 s, and nothing is written while no key is used. */
export function createKeyUses(options: {
  readonly clock: Clock;
  readonly keyStore: Pick<KeyStore, "recordUse">;
  readonly onFailure: (cause: unknown) => void;
}): KeyUses {
  const { clock, keyStore, onFailure } = options;
  const batch = createUseBatch(keyStore, onFailure, maxWaitingKeys);
  let cancelTimer: (() => void) | null = null;

  async function flush(): Promise<void> {
    cancelTimer?.();
    cancelTimer = null;
    if (!(await batch.write())) schedule(useFlushMs);
  }

  function schedule(delayMs: number): void {
    cancelTimer ??= clock.setTimer(delayMs, () => void writeSome());
  }

  async function writeSome(): Promise<void> {
    cancelTimer = null;
    const isWritten = await batch.write(usesOfWrite);
    if (batch.size() > 0) schedule(isWritten ? pauseMs : useFlushMs);
  }

  return {
    note(keyId) {
      if (batch.add(keyId, clock.now())) void flush();
      else schedule(useFlushMs);
    },
    flush,
  };
}

/** The waiting uses, without a schedule for writing them. */
export interface UseBatch {
  /** Adds a use. Returns true when so many wait that they should be written now. */
  add(keyId: string, usedAt: number): boolean;
  /** Number of keys whose uses wait. */
  size(): number;
  /**
   * Writes the waiting uses, up to the limit. If the store fails, resolves with false, passes the failure to `onFailure` and keeps the uses waiting.
   */
  write(limit?: number): Promise<boolean>;
}

/** Creates a {@link UseBatch}. `maxWaiting` is the most keys whose uses wait. */
export function createUseBatch(
  keyStore: Pick<KeyStore, "recordUse">,
  onFailure: (cause: unknown) => void,
  maxWaiting: number,
): UseBatch {
  const waiting = new Map<string, number>();
  return {
    add(keyId, usedAt) {
      waiting.set(keyId, usedAt);
      return waiting.size > maxWaiting;
    },
    size: () => waiting.size,
    async write(limit = Infinity) {
      if (waiting.size === 0) return true;
      const batch = new Map<string, number>();
      for (const [id, usedAt] of waiting) {
        if (batch.size >= limit) break;
        batch.set(id, usedAt);
        waiting.delete(id);
      }
      try {
        await keyStore.recordUse([...batch].map(([id, usedAt]) => ({ id, usedAt })));
        return true;
      } catch (cause) {
        onFailure(cause);
        for (const [id, usedAt] of batch) {
          // A use noted meanwhile is later and stays. A use beyond the limit is lost until the key is used again.
          if (!waiting.has(id) && waiting.size < maxWaiting) waiting.set(id, usedAt);
        }
        return false;
      }
    },
  };
}
