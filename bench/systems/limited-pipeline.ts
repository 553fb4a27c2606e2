/** The proxy's pipeline as in `proxy-pipeline.ts`, at one port without limits, at others with one and with three, in one process. */
import process from "node:process";
import { openSqlite, systemClock } from "@letta-environments/platform/node";
import { createMemoryRateLimitStore } from "../../apps/proxy/src/adapters/memory/rate-limit-store.ts";
import { createSqliteKeyStore } from "../../apps/proxy/src/adapters/sqlite/key-store.ts";
import type { RateLimitPolicyFile } from "../../apps/proxy/src/config/file.ts";
import { resolveRateLimits } from "../../apps/proxy/src/config/resolve-rate-limits.ts";
import { createRateLimiter } from "../../apps/proxy/src/rate-limit/limiter.ts";
import { startNodeServer } from "../../apps/proxy/test/support/node-server.ts";
import { issueTestKey } from "../../apps/proxy/test/support/test-proxy.ts";
import { fixedBody } from "./fixed-answer.ts";
import { limitCounts, limitWindowsMs } from "./limit-counts.ts";

const dimensions: readonly RateLimitPolicyFile["per"][] = [["key"], ["address"], ["tenant", "route"]];
const keyStore = createSqliteKeyStore(openSqlite(":memory:"), systemClock);
const { key } = await issueTestKey(keyStore, systemClock);
const answer = { status: 200, headers: { "content-type": "application/json" }, body: fixedBody };

async function start(count: number): Promise<number> {
  const policies = Object.fromEntries(
    limitWindowsMs.slice(0, count).map((windowMs, index): [string, RateLimitPolicyFile] => {
      const limit = Math.min(1_000_000_000, windowMs * 1_000);
      return [`limit-${index}`, { per: dimensions[index] ?? [], limit, windowMs }];
    }),
  );
  const { settings, problems } = resolveRateLimits({ policies }, false);
  if (problems.length > 0) throw new Error(JSON.stringify(problems));
  const store = createMemoryRateLimitStore(systemClock);
  const rateLimiter = createRateLimiter({
    store,
    localStore: store,
    clock: systemClock,
    onDegraded: () => undefined,
  });
  const { url } = await startNodeServer(() => Promise.resolve(answer), {
    ports: {
      clock: systemClock,
      keyStore,
      telemetry: () => undefined,
      rateLimiter: count === 0 ? null : rateLimiter,
    },
    ...(count > 0 && { config: { rateLimits: settings } }),
  });
  return Number(new URL(url).port);
}

const ports: number[] = [];
for (const count of limitCounts) ports.push(await start(count));
process.send?.({ key, ports });
