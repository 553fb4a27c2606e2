/**
 * Last uses of keys. A request notes its key in memory only; the uses of all keys are written together, so that a busy gateway
 * does not write for every request. A crash loses what has not been written.
 */
import type { Clock } from "@letta-environments/platform";
import type { KeyStore } from "../ports.ts";

/** The longest time that a use waits in memory, in milliseconds. */
export const useFlushMs = 30_000;

/** The most keys whose uses wait; beyond that they are written at once. */
const maxWaitingKeys = 10_000;

/** Uses on their way to the store. */
export interface KeyUses {
  /** Notes a use. It only writes to memory. */
  note(keyId: string): void;
  /** Writes the waiting uses. Resolves when they are written, or wait again because the store failed. */
  flush(): Promise<void>;
}

/** Creates {@link KeyUses}: one write for all keys at most every 30 s, and none while no key is used. */
export function createKeyUses(options: {
  readonly clock: Clock;
  readonly keyStore: Pick<KeyStore, "recordUse">;
  readonly onFailure: (cause: unknown) => void;
}): KeyUses {
  const { clock, keyStore, onFailure } = options;
  const batch = createUseBatch(keyStore, onFailure);
  let cancelTimer: (() => void) | null = null;

  async function flush(): Promise<void> {
    cancelTimer?.();
    cancelTimer = null;
    if (!(await batch.write())) cancelTimer ??= clock.setTimer(useFlushMs, flushByTimer);
  }

  function flushByTimer(): void {
    cancelTimer = null;
    void flush();
  }

  return {
    note(keyId) {
      if (batch.add(keyId, clock.now())) void flush();
      else cancelTimer ??= clock.setTimer(useFlushMs, flushByTimer);
    },
    flush,
  };
}

/** The waiting uses, without a schedule for writing them. */
export interface UseBatch {
  /** Adds a use. Returns true when so many wait that they should be written now. */
  add(keyId: string, usedAt: number): boolean;
  /** Writes the waiting uses. Resolves with false when the store failed, which `onFailure` receives; they wait again then. */
  write(): Promise<boolean>;
}

/** Creates a {@link UseBatch}. */
export function createUseBatch(keyStore: Pick<KeyStore, "recordUse">, onFailure: (cause: unknown) => void): UseBatch {
  let waiting = new Map<string, number>();
  return {
    add(keyId, usedAt) {
      waiting.set(keyId, usedAt);
      return waiting.size > maxWaitingKeys;
    },
    async write() {
      if (waiting.size === 0) return true;
      const batch = waiting;
      waiting = new Map();
      try {
        await keyStore.recordUse([...batch].map(([id, usedAt]) => ({ id, usedAt })));
        return true;
      } catch (cause) {
        onFailure(cause);
        for (const [id, usedAt] of batch) {
          // A use noted meanwhile is later. A use beyond the limit is lost, and the next one replaces it.
          if (!waiting.has(id) && waiting.size < maxWaitingKeys) waiting.set(id, usedAt);
        }
        return false;
      }
    },
  };
}
