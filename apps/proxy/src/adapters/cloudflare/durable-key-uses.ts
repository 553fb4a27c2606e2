import type { Clock } from "@letta-environments/platform";
import type { KeyStore } from "../../ports.ts";

/** How often uses are written, in milliseconds; what waits when an isolate ends is lost. */
const flushMs = 30_000;
/** Keys whose uses wait at most; more are written at once. */
const maxWaitingKeys = 10_000;

/** What notes uses of keys works with. */
export interface DurableKeyUsesOptions {
  readonly clock: Pick<Clock, "now">;
  readonly keyStore: Pick<KeyStore, "recordUse">;
  readonly background: (work: Promise<unknown>) => void;
  readonly onFailure: (cause: unknown) => void;
}

/** Creates what notes uses of keys where no timer outlives a request: the first use is written at once, others when 30 seconds have passed. */
export function createDurableKeyUses(options: DurableKeyUsesOptions): (keyId: string) => void {
  const { clock, keyStore, background, onFailure } = options;
  let waiting = new Map<string, number>();
  let flushedAt = -Infinity;

  async function flush(): Promise<void> {
    const batch = waiting;
    waiting = new Map();
    try {
      await keyStore.recordUse([...batch].map(([id, usedAt]) => ({ id, usedAt })));
    } catch (cause) {
      onFailure(cause);
      // What was noted meanwhile is later.
      for (const [id, usedAt] of batch) if (!waiting.has(id) && waiting.size < maxWaitingKeys) waiting.set(id, usedAt);
    }
  }

  return (keyId) => {
    const now = clock.now();
    waiting.set(keyId, now);
    flushedAt = Math.min(flushedAt, now);
    if (now - flushedAt < flushMs && waiting.size <= maxWaitingKeys) return;
    flushedAt = now;
    background(flush());
  };
}
