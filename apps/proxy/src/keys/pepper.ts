/**
 * The pepper of the digests of keys, and the check that it belongs to the stored keys: with another one, every key is refused like an unknown one, and
 * nobody could tell a wrong setting from wrong keys.
 */
import type { Clock } from "@letta-environments/platform";
import type { Digests, KeyStore, Pepper } from "../ports.ts";
import type { KeySummary } from "./key-record.ts";

/** Shortest text of a pepper, in characters. `openssl rand -hex 32` prints 64. */
export const minPepperLength = 32;

/** Creates a pepper from its secret: bytes, or text that is encoded as UTF-8. Its id is a digest of the secret. */
export function pepperOf(secret: string | Uint8Array, hmacSha256: Digests["hmacSha256"]): Pepper {
  const bytes = typeof secret === "string" ? new TextEncoder().encode(secret) : secret;
  return { id: hmacSha256(bytes, "pepper id").slice(0, 12), secret: bytes };
}

/** Whether a digest of some key was made with this pepper, or there are no keys yet. */
export function fitsKeys(pepper: Pepper, { isEmpty, pepperIds }: Pick<KeySummary, "isEmpty" | "pepperIds">): boolean {
  return isEmpty || pepperIds.has(pepper.id);
}

/**
 * Creates a check for `/readyz` of a gateway whose pepper is `KEY_PEPPER`. It rejects while the pepper fits none of the keys, and when they
 * cannot be read. It reads them, at most once a second, until it has found a key that fits, because that does not change later.
 */
export function createPepperCheck(
  keyStore: Pick<KeyStore, "summarize">,
  pepper: Pepper,
  clock: Pick<Clock, "now">,
): () => Promise<void> {
  let isFound = false;
  let last: { readonly atMs: number; readonly fits: boolean } | null = null;
  return async () => {
    if (isFound) return;
    if (last === null || Math.abs(clock.now() - last.atMs) >= repeatMs) {
      const summary = await keyStore.summarize(clock.now());
      last = { atMs: clock.now(), fits: fitsKeys(pepper, summary) };
      isFound = last.fits && !summary.isEmpty;
    }
    if (!last.fits) {
      throw new Error("KEY_PEPPER is not the pepper of the stored keys; set the one that they were made with");
    }
  };
}

/** Anyone may request `/readyz`, and this reads every key. */
const repeatMs = 1_000;
