import type { KeyStore } from "../ports.ts";

/** Keys whose uses wait at most; more are written at once. */
const maxWaitingKeys = 10_000;

/** The latest uses of keys that wait to be written, and nothing about when that is. */
export interface UseBatch {
  /** True when so many wait that they are to be written now. */
  add(keyId: string, usedAt: number): boolean;
  /** Writes what waits. Resolves with false when the store failed, which was told; what waited waits on. */
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
          // What was noted meanwhile is later; what there is no room for is lost, and the next use makes up for it.
          if (!waiting.has(id) && waiting.size < maxWaitingKeys) waiting.set(id, usedAt);
        }
        return false;
      }
    },
  };
}
