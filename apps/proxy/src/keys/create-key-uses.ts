import type { Clock } from "@letta-environments/platform";
import type { KeyStore } from "../ports.ts";
import { createUseBatch } from "./create-use-batch.ts";

/** Longest time that a use waits in memory, in milliseconds. A crash loses what waits. */
export const useFlushMs = 30_000;

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
