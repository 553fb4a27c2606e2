import { patchKey, revokeKey as revoked } from "../../src/keys/key-lifecycle.ts";
import type { KeyStore } from "../../src/ports.ts";

/** Revokes a key. */
export async function revokeKey(store: KeyStore, id: string, nowMs: number): Promise<void> {
  await store.update(id, (record) => revoked(record, nowMs));
}

/** Disables a key. */
export async function disableKey(store: KeyStore, id: string, nowMs: number): Promise<void> {
  await store.update(id, (record) => patchKey(record, { disabled: true }, nowMs));
}
