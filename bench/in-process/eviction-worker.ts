/** Prints the hit ratio of each eviction policy, on each trace and for two sizes, as JSON. */
import process from "node:process";
import { type CacheEntry, createMemoryCacheStore } from "../../packages/http-cache/src/index.ts";
import { createFifo, createLru, createS3Fifo, createSieve, type Policy } from "./eviction-peers.ts";
import { createTraces } from "./eviction-traces.ts";

const entry: CacheEntry = {
  status: 200,
  headers: {},
  body: new Uint8Array(8),
  vary: [],
  variant: [],
  receivedAtMs: 0,
  initialAgeMs: 0,
  freshForMs: 1_000,
  staleWhileRevalidateMs: 0,
  staleIfErrorMs: 0,
  validatesAlways: false,
  isNeverStale: false,
  isImmutable: false,
  keepUntilMs: 1_000,
  groups: [],
};

/** The store itself, bounded by entries as the others are. */
function createOwn(capacity: number): Policy {
  const store = createMemoryCacheStore({ clock: { now: () => 0 }, maxEntries: capacity, maxBytes: 1e12 });
  return (key) => {
    if (store.get(key).length > 0) return true;
    store.put(key, entry);
    return false;
  };
}

const policies: Readonly<Record<string, (capacity: number) => Policy>> = {
  "the memory store": createOwn,
  "S3-FIFO": createS3Fifo,
  SIEVE: createSieve,
  LRU: createLru,
  FIFO: createFifo,
};

const rows = createTraces().flatMap(({ name, keys }) =>
  [500, 5_000].map((capacity) => ({
    trace: name,
    capacity,
    hitRatios: Object.entries(policies).map(([policy, create]) => {
      const ask = create(capacity);
      let hits = 0;
      for (const key of keys) if (ask(key)) hits++;
      return { policy, ratio: hits / keys.length };
    }),
  })),
);
process.stdout.write(`${JSON.stringify(rows)}\n`);
