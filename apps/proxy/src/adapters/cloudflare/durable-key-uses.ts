import type { Clock } from "@letta-environments/platform";
import type { KeyStore } from "../../ports.ts";
import { createUseBatch, useFlushMs } from "../../keys/key-uses.ts";

/** What notes uses of keys works with. */
export interface DurableKeyUsesOptions {
  readonly clock: Pick<Clock, "now">;
  readonly keyStore: Pick<KeyStore, "recordUse">;
  readonly background: (work: Promise<unknown>) => void;
  readonly onFailure: (cause: unknown) => void;
}

/** Creates what notes uses of keys where no timer outlives a request: the first use is written at once, others when 30 seconds have passed. What waits when an isolate ends is lost. */
export function createDurableKeyUses(options: DurableKeyUsesOptions): (keyId: string) => void {
  const { clock, keyStore, background, onFailure } = options;
  const batch = createUseBatch(keyStore, onFailure);
  let flushedAt = -Infinity;

  return (keyId) => {
    const now = clock.now();
    const isFull = batch.add(keyId, now);
    flushedAt = Math.min(flushedAt, now);
    if (now - flushedAt < useFlushMs && !isFull) return;
    flushedAt = now;
    background(batch.write());
  };
}
