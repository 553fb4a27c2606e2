/**
 * Runs on Node with `--expose-gc` and on Bun: measures the memory of one limit on each of 100,000 active keys, including the keys, and
 * prints bytes per key as JSON. The first argument names the limiter.
 */
import process from "node:process";
import { MemoryStore } from "hono-rate-limiter";
import { RateLimiterMemory } from "rate-limiter-flexible";
import { createMemoryRateLimitStore } from "../../apps/proxy/src/adapters/memory/rate-limit-store.ts";
import { partitionKey } from "../../apps/proxy/src/rate-limit/checks.ts";
import type { RateLimitPolicy } from "../../apps/proxy/src/rate-limit/policy.ts";
import { systemClock } from "../../packages/platform/src/node/index.ts";
import { bytesHeld } from "./worker.ts";

const keyCount = 100_000;
const windowMs = 86_400_000;
const policy: RateLimitPolicy = {
  name: "daily",
  unit: "requests",
  limit: 1_000,
  windowMs,
  burst: 1_000,
  mode: "enforce",
  onStoreError: "local",
};

interface Subject {
  take(key: string): unknown;
  /** Number of keys; `null` if the limiter does not report it. */
  size(): number | null;
}

function newStore(): Subject {
  const store = createMemoryRateLimitStore(systemClock, keyCount);
  return {
    take: (key) => store.take([{ policy, key, cost: 1 }], { probe: false, leaseId: null }),
    size: () => store.size,
  };
}

function newFlexible(): Subject {
  const limiter = new RateLimiterMemory({ points: policy.limit, duration: windowMs / 1_000 });
  return { take: (key) => limiter.consume(key), size: () => null };
}

function newHono(): Subject {
  const store = new MemoryStore();
  store.init({ windowMs } as Parameters<MemoryStore["init"]>[0]);
  return { take: (key) => store.increment(key), size: () => null };
}

const makers = new Map<string, () => Subject>([
  ["own", newStore],
  ["rate-limiter-flexible", newFlexible],
  ["hono-rate-limiter", newHono],
]);

/** Returns a key as a request brings it: a new string with a key id of 12 characters. */
function keyOf(index: number): string {
  return partitionKey(["key"], {
    key: `k${String(index).padStart(11, "0")}`,
    tenant: null,
    address: null,
    route: null,
    device: null,
  });
}

// The code is compiled before anything is measured.
const make = makers.get(process.argv[2] ?? "own") ?? newStore;
const warmUp = make();
for (let index = 0; index < 1_000; index++) await warmUp.take(keyOf(index));
const before = await bytesHeld();
const subject = make();
for (let index = 0; index < keyCount; index++) await subject.take(keyOf(index));
const after = await bytesHeld();
if (subject.size() !== null && subject.size() !== keyCount) throw new Error("Keys were forgotten.");
// Once more, so that what is measured is alive until here.
await subject.take(keyOf(0));
process.stdout.write(
  `${JSON.stringify({ version: process.versions["bun"] ?? process.version, bytesPerKey: (after - before) / keyCount })}\n`,
);
process.exit(0);
