/**
 * Checks that the pepper belongs to the stored keys. With another one, every key is refused like an unknown one, and nobody could tell a
 * wrong setting from wrong keys.
 */
import type { Clock } from "@letta-environments/platform";
import type { KeyRecord } from "../keys/key-record.ts";
import type { KeyStore, Pepper } from "../ports.ts";

/** Whether a digest of some key was made with this pepper, or there are no keys yet. */
export function fitsKeys(pepper: Pepper, records: readonly KeyRecord[]): boolean {
  return records.length === 0 || records.some(({ secrets }) => secrets.some(({ pepperId }) => pepperId === pepper.id));
}

/**
 * Creates a check for `/readyz` of a gateway whose pepper is `KEY_PEPPER`. It rejects while the pepper fits none of the keys, and when they
 * cannot be read. It reads them, at most once a second, until it has found a key that fits, because that does not change later.
 */
export function createPepperCheck(keyStore: KeyStore, pepper: Pepper, clock: Pick<Clock, "now">): () => Promise<void> {
  let isFound = false;
  let last: { readonly atMs: number; readonly fits: boolean } | null = null;
  return async () => {
    if (isFound) return;
    if (last === null || Math.abs(clock.now() - last.atMs) >= repeatMs) {
      const records = await keyStore.list();
      last = { atMs: clock.now(), fits: fitsKeys(pepper, records) };
      isFound = last.fits && records.length > 0;
    }
    if (!last.fits) {
      throw new Error("KEY_PEPPER is not the pepper of the stored keys; set the one that they were made with");
    }
  };
}

/** Anyone may request `/readyz`, and this reads every key. */
const repeatMs = 1_000;
