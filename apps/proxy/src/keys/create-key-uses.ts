import type { Clock } from "@letta-environments/platform";
import type { KeyStore } from "../ports.ts";

/** Longest time that a use waits in memory, in milliseconds. A crash loses what waits. */
export const useFlushMs = 30_000;
/** Keys whose uses wait at most; more are written at once. */
const maxWaitingKeys = 10_000;

/** When keys were used, on the way to the store. */
export interface KeyUses {
  /** Notes a use. It only writes to memory. */
  note(keyId: string): void;
  /** Writes what waits; resolves when it is written, or was put back because the store failed. */
  flush(): Promise<void>;
}

/** Creates {@link KeyUses}: one write for all keys at most every 30 s, and none while nothing is used. */
export function createKeyUses(options: {
  readonly clock: Clock;
  readonly keyStore: Pick<KeyStore, "recordUse">;
  readonly onFailure: (cause: unknown) => void;
}): KeyUses {
  const { clock, keyStore, onFailure } = options;
  let waiting = new Map<string, number>();
  let cancelTimer: (() => void) | null = null;

  async function flush(): Promise<void> {
    cancelTimer?.();
    cancelTimer = null;
    if (waiting.size === 0) return;
    const batch = waiting;
    waiting = new Map();
    try {
      await keyStore.recordUse([...batch].map(([id, usedAt]) => ({ id, usedAt })));
    } catch (cause) {
      onFailure(cause);
      for (const [id, usedAt] of batch) {
        // What was noted meanwhile is later; what there is no room for is lost, and the next use makes up for it.
        if (!waiting.has(id) && waiting.size < maxWaitingKeys) waiting.set(id, usedAt);
      }
      cancelTimer ??= clock.setTimer(useFlushMs, flushByTimer);
    }
  }

  function flushByTimer(): void {
    cancelTimer = null;
    void flush();
  }

  return {
    note(keyId) {
      waiting.set(keyId, clock.now());
      if (waiting.size > maxWaitingKeys) void flush();
      else cancelTimer ??= clock.setTimer(useFlushMs, flushByTimer);
    },
    flush,
  };
}
