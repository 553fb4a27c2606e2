import type { IdempotencyStore } from "../../src/idempotency/store.ts";

/** A store that fails on demand. */
export function failingStore(
  store: IdempotencyStore,
): IdempotencyStore & { readonly failing: Set<keyof IdempotencyStore> } {
  const failing = new Set<keyof IdempotencyStore>();
  const check = (operation: keyof IdempotencyStore): void => {
    if (failing.has(operation)) throw new Error(`${operation} failed`);
  };
  return {
    failing,
    async reserve(reservation) {
      check("reserve");
      return store.reserve(reservation);
    },
    async find(scope, ids) {
      check("find");
      return store.find(scope, ids);
    },
    async settle(reservation, result) {
      check("settle");
      await store.settle(reservation, result);
    },
    async release(reservation) {
      check("release");
      await store.release(reservation);
    },
    async findConnection(tenant, connectionId) {
      check("findConnection");
      return store.findConnection(tenant, connectionId);
    },
  };
}
