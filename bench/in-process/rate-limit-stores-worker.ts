/**
 * Runs on Node: measures three limits per request in SQLite (in the folder of the first argument) and in Valkey (at the URL of the
 * second argument, if given), and prints samples as JSON. No request is refused.
 */
import process from "node:process";
import { join } from "node:path";
import { createSqliteRateLimitStore } from "../../apps/proxy/src/adapters/sqlite/rate-limit-store.ts";
import { createValkeyRateLimitStore } from "../../apps/proxy/src/adapters/valkey/rate-limit-store.ts";
import type { RateLimitCheck, RateLimitPolicy } from "../../apps/proxy/src/rate-limit/policy.ts";
import type { RateLimitStore } from "../../apps/proxy/src/rate-limit/store.ts";
import { openSqlite, systemClock } from "../../packages/platform/src/node/index.ts";
import { connectValkey } from "../../packages/platform/src/valkey/index.ts";

const callers = 1_024;
const rounds = 10;
const warmUpRounds = 2;
const [folder = "", url] = process.argv.slice(2);
const take = { probe: false, leaseId: null };

const policies = [60_000, 1_000, 86_400_000].map((windowMs, index): RateLimitPolicy => {
  const limit = 1_000_000;
  const name = `policy-${index}`;
  return { name, unit: "requests", limit, windowMs, burst: limit, mode: "enforce", onStoreError: "local" };
});
const requests = Array.from({ length: callers }, (_, caller) =>
  policies.map((policy): RateLimitCheck => ({ policy, key: `caller-${caller}`, cost: 1 })),
);

/** Microseconds per request. */
interface StoreSample {
  readonly cpuUs: number;
  readonly wallUs: number;
}

/** Runs `atOnce` callers that each make one request after the other. */
async function slice(store: RateLimitStore, count: number, atOnce: number): Promise<StoreSample> {
  const cpu = process.cpuUsage();
  const startedAt = performance.now();
  let next = 0;
  async function call(): Promise<void> {
    while (next < count) {
      const outcome = store.take(requests[next++ % callers] ?? [], take);
      const { admitted } = outcome instanceof Promise ? await outcome : outcome;
      if (!admitted) throw new Error("A request was refused.");
    }
  }
  await Promise.all(Array.from({ length: atOnce }, call));
  const { user, system } = process.cpuUsage(cpu);
  return { cpuUs: (user + system) / count, wallUs: ((performance.now() - startedAt) * 1_000) / count };
}

const connection = url === undefined ? null : connectValkey(url, { timeoutMs: 10_000, onFailure: () => undefined });
const sqlite = createSqliteRateLimitStore(openSqlite(join(folder, "limits.sqlite")), systemClock);
const valkey = connection === null ? null : createValkeyRateLimitStore(connection);
const steps: readonly (readonly [string, RateLimitStore, number, number])[] = [
  ["SQLite", sqlite, 4_000, 1],
  ...(valkey === null
    ? []
    : ([
        ["Valkey, one request at a time", valkey, 2_000, 1],
        ["Valkey, 64 in flight", valkey, 10_000, 64],
      ] as const)),
];
const samples = new Map<string, StoreSample[]>(steps.map(([name]) => [name, []]));
for (let round = -warmUpRounds; round < rounds; round++) {
  for (const [name, store, count, atOnce] of steps) {
    const sample = await slice(store, count, atOnce);
    if (round >= 0) samples.get(name)?.push(sample);
  }
}
await connection?.close();
process.stdout.write(`${JSON.stringify([...samples])}\n`);
