/**
 * Runs on Node and Bun: measures the CPU time of three limits per request in interleaved slices, and prints nanoseconds per request as
 * JSON, one list of samples per step. No request is refused: charging every policy is the expensive path.
 */
import process from "node:process";
import { Hono } from "hono";
import { MemoryStore, rateLimiter } from "hono-rate-limiter";
import { RateLimiterMemory } from "rate-limiter-flexible";
import { createMemoryRateLimitStore } from "../../apps/proxy/src/adapters/memory/rate-limit-store.ts";
import { createChecks } from "../../apps/proxy/src/rate-limit/checks.ts";
import { createRateLimiter } from "../../apps/proxy/src/rate-limit/limiter.ts";
import { rateLimitHeaders } from "../../apps/proxy/src/rate-limit/headers.ts";
import type { RateLimitCheck, RateLimitPolicy } from "../../apps/proxy/src/rate-limit/policy.ts";
import type { RateLimitRule } from "../../apps/proxy/src/rate-limit/policy.ts";
import type { RateLimitOutcome } from "../../apps/proxy/src/rate-limit/store.ts";
// Bun has no `node:sqlite`, which the index of platform's Node part imports.
import { systemClock } from "../../packages/platform/src/node/index.ts";
import { printSamples } from "./worker.ts";

const callers = 1_024;
const callsInSlice = 20_000;
const take = { probe: false, leaseId: null };

function policy(name: string, windowMs: number, unit: RateLimitPolicy["unit"] = "requests"): RateLimitPolicy {
  const limit = 1_000_000;
  return { name, unit, limit, windowMs, burst: limit, mode: "enforce", onStoreError: "local" };
}

const [perKey, perAddress, perTenant] = [policy("key", 60_000), policy("address", 1_000), policy("tenant", 86_400_000)];
const perCaller = policy("at-once", 30_000, "concurrent-requests");
const callerValues = Array.from({ length: callers }, (_, index) => ({
  key: `abcdefgh${String(index).padStart(4, "0")}`,
  tenant: `tenant-${index % 32}`,
  address: `203.0.${index >> 8}.${index & 255}`,
  route: "list",
  device: null,
}));

function rule(of: RateLimitPolicy, ...dimensions: RateLimitRule["dimensions"]): RateLimitRule {
  return { policy: of, dimensions, costs: new Map([["send", 5]]), exempt: [] };
}

const checksOf = createChecks([rule(perKey, "key"), rule(perAddress, "address"), rule(perTenant, "tenant", "route")]);
const prepared = callerValues.map((values) => checksOf(values));
const withLease = prepared.map(([first, second], index): RateLimitCheck[] => [
  ...(first === undefined || second === undefined ? [] : [first, second]),
  { policy: perCaller, key: `caller ${index}`, cost: 1 },
]);
const store = createMemoryRateLimitStore(systemClock);
const limiter = createRateLimiter({
  store,
  localStore: createMemoryRateLimitStore(systemClock),
  clock: systemClock,
  onDegraded: () => undefined,
});
const flexible = [60, 1, 86_400].map(
  (duration, index) => new RateLimiterMemory({ points: 1_000_000, duration, keyPrefix: `p${index}` }),
);
const honoStores = [60_000, 1_000, 86_400_000].map((windowMs) => {
  const memory = new MemoryStore();
  memory.init({ windowMs } as Parameters<MemoryStore["init"]>[0]);
  return memory;
});
const peerKeys = prepared.map((checks) => checks.map(({ key }) => key));

const windows = [60_000, 1_000, 86_400_000];
const bareApp = new Hono().get("/", (context) => context.text("ok"));
const limitedApp = new Hono();
for (const [index, windowMs] of windows.entries()) {
  limitedApp.use(
    rateLimiter({
      windowMs,
      limit: 1_000_000,
      standardHeaders: "draft-7",
      keyGenerator: (context) => peerKeys[Number(context.req.header("x-caller"))]?.[index] ?? "",
    }),
  );
}
limitedApp.get("/", (context) => context.text("ok"));
const requests = callerValues.map(
  (_, index) => new Request("http://127.0.0.1/", { headers: { "x-caller": String(index) } }),
);

/** Every step adds to it, so that no call is optimised away. */
let sum = 0;

function count(outcome: RateLimitOutcome | Promise<RateLimitOutcome>): void {
  if (outcome instanceof Promise || !outcome.admitted) throw new Error("A request waited or was refused.");
  sum += outcome.decisions.length;
}

async function statusOf(app: Pick<Hono, "fetch">, call: number): Promise<number> {
  const request = requests[call % callers];
  if (request === undefined) return 0;
  return (await app.fetch(request)).status;
}

/** Each step has its own loop, because the engine would compile a shared loop for all steps alike. */
const steps: Readonly<Record<string, () => void | Promise<void>>> = {
  "empty loop": () => {
    for (let call = 0; call < callsInSlice; call++) sum += (prepared[call % callers] ?? []).length;
  },
  "three limits": () => {
    for (let call = 0; call < callsInSlice; call++) count(store.take(prepared[call % callers] ?? [], take));
  },
  "three limits, through the limiter": () => {
    for (let call = 0; call < callsInSlice; call++) count(limiter.take(prepared[call % callers] ?? [], take));
  },
  "three limits, from the rules for each request": () => {
    for (let call = 0; call < callsInSlice; call++) {
      const values = callerValues[call % callers];
      if (values !== undefined) count(limiter.take(checksOf(values), take));
    }
  },
  "three limits and their headers": () => {
    for (let call = 0; call < callsInSlice; call++) {
      const outcome = store.take(prepared[call % callers] ?? [], take);
      sum += rateLimitHeaders(outcome)["ratelimit"]?.length ?? 0;
    }
  },
  "two limits and a lease that is released": () => {
    for (let call = 0; call < callsInSlice; call++) {
      const checks = withLease[call % callers] ?? [];
      count(store.take(checks, { probe: false, leaseId: "request" }));
      store.release("request", checks);
    }
  },
  "rate-limiter-flexible, three in memory": async () => {
    for (let call = 0; call < callsInSlice; call++) {
      const keys = peerKeys[call % callers] ?? [];
      for (const [index, limit] of flexible.entries()) sum += (await limit.consume(keys[index] ?? "")).consumedPoints;
    }
  },
  "hono-rate-limiter, three memory stores alone": () => {
    for (let call = 0; call < callsInSlice; call++) {
      const keys = peerKeys[call % callers] ?? [];
      for (const [index, memory] of honoStores.entries()) sum += memory.increment(keys[index] ?? "").totalHits;
    }
  },
  "Hono, fixed response": async () => {
    for (let call = 0; call < callsInSlice; call++) sum += await statusOf(bareApp, call);
  },
  "Hono, fixed response, with hono-rate-limiter three times": async () => {
    for (let call = 0; call < callsInSlice; call++) sum += await statusOf(limitedApp, call);
  },
};

await printSamples(steps, () => callsInSlice);
if (!Number.isFinite(sum)) throw new Error("Nothing was summed.");
// The peers' timers would keep the process running.
process.exit(0);
