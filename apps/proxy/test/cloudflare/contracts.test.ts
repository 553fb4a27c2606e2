/** The contracts of the ports, for the stores of Workers in workerd. */
import { resolve } from "node:path";
import process from "node:process";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import type { TestHarness } from "wrangler";
import { createDurableKeyStore } from "../../src/adapters/cloudflare/key-store.ts";
import { createDurableRateLimitStore } from "../../src/adapters/cloudflare/rate-limit-store.ts";
import type { KeyObjectStub } from "../../src/adapters/cloudflare/key-object.ts";
import type { ObjectNamespace } from "../../src/runtimes/cloudflare/settings.ts";
import type { RateLimitObjectStub } from "../../src/adapters/cloudflare/rate-limit-store.ts";
import { describeKeyStore } from "../key-store-contract.ts";
import { describeRateLimitStore } from "../rate-limit-store-contract.ts";
import { testCheck } from "../support/test-check.ts";
import { quietWrangler } from "../runtimes/workerd-launcher.ts";

/** The time of a caller: wall and monotonic, in milliseconds. */
interface Time {
  readonly nowMs: number;
  readonly monotonicMs: number;
}

interface ClockedStub extends RateLimitObjectStub {
  ringAt(time: Time): Promise<void>;
  alarmAt(): Promise<number | null>;
  takeAt(time: Time, ...take: Parameters<RateLimitObjectStub["take"]>): ReturnType<RateLimitObjectStub["take"]>;
}

interface ContractBindings {
  readonly KEYS: ObjectNamespace<KeyObjectStub>;
  readonly LIMITS: ObjectNamespace<ClockedStub>;
}

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });
let server: TestHarness;
let bindings: ContractBindings;
let count = 0;

/** Keeps one stub for each name, because the harness drops calls in flight of a stub that is garbage-collected. */
function keepStubs<Stub>(namespace: () => ObjectNamespace<Stub>): (name: string) => Stub {
  const kept = new Map<string, Stub>();
  return (name) => {
    const stub = kept.get(name) ?? namespace().getByName(name);
    kept.set(name, stub);
    return stub;
  };
}

const keyObject = keepStubs(() => bindings.KEYS);
const limitObject = keepStubs(() => bindings.LIMITS);

beforeAll(async () => {
  Object.assign(process.env, quietWrangler);
  const { createTestHarness } = await import("wrangler");
  const root = resolve(import.meta.dirname, "contract-worker");
  server = createTestHarness({ root, workers: [{ configPath: "./wrangler.jsonc" }] });
  await server.listen();
  bindings = (await server.getWorker().getEnv()) as unknown as ContractBindings;
});
afterAll(() => server.close());

test("the Cache API store passes every test of the contract of cache stores", async () => {
  const results = (await (await server.fetch("/")).json()) as Readonly<Record<string, string | null>>;
  expect(Object.keys(results).length).toBeGreaterThan(8);
  expect(Object.entries(results).filter(([, failure]) => failure !== null)).toEqual([]);
});

describeKeyStore("in a Durable Object", { generationBoundMs: 5_000, storesText: true }, () => {
  const name = `keys ${count++}`;
  const pending = new Set<Promise<unknown>>();
  const background = (work: Promise<unknown>): void => {
    pending.add(work);
    void work.finally(() => pending.delete(work));
  };
  return {
    connect: async (clock, onDamaged = () => undefined) =>
      createDurableKeyStore({ keys: () => keyObject(name), clock, background, onDamaged }),
    async damage(id, text) {
      const sql = await server.getWorker().getDurableObjectStorage("KEYS", { name });
      await sql.exec("UPDATE keys SET record = ? WHERE id = ?", text, id);
    },
    async settle() {
      await Promise.all(pending);
    },
  };
});

describeRateLimitStore("in a Durable Object", { time: "monotonic", runs: 15 }, (clock) => {
  const prefix = `limits ${count++}`;
  return createDurableRateLimitStore(
    (name) => {
      const stub = limitObject(`${prefix} ${name}`);
      return {
        take: (checks, options) => stub.takeAt({ nowMs: clock.now(), monotonicMs: clock.monotonic() }, checks, options),
        release: (leaseId, checks) => stub.release(leaseId, checks),
      };
    },
    () => undefined,
  );
});

test("an unused rate-limit object removes idle counters and finally all of its storage", async () => {
  const name = "limits of somebody who left";
  const stub = limitObject(name);
  const check = (policy: string, windowMs: number) => testCheck({ name: policy, limit: 1, burst: 1, windowMs });
  const startMs = 1_800_000_000_000;
  const timeOf = (nowMs: number) => ({ nowMs, monotonicMs: nowMs });
  const take = (atMs: number) =>
    stub.takeAt(timeOf(atMs), [check("short", 60_000), check("long", 7_200_000)], { probe: false, leaseId: null });
  const tables = async (): Promise<unknown> => {
    const sql = await server.getWorker().getDurableObjectStorage("LIMITS", { name });
    return sql.exec("SELECT name FROM sqlite_master WHERE name LIKE 'rate_limit%' AND type = 'table' ORDER BY name");
  };
  expect((await take(startMs)).admitted).toBe(true);
  const firstAlarm = await stub.alarmAt();
  expect(firstAlarm).toBeGreaterThan(Date.now());
  await stub.ringAt(timeOf(startMs + 3_600_000));
  const sql = await server.getWorker().getDurableObjectStorage("LIMITS", { name });
  expect(await sql.exec("SELECT policy FROM rate_limits")).toMatchObject([{ policy: "long" }]);
  expect(await stub.alarmAt()).toBeGreaterThan(Date.now());
  await stub.ringAt(timeOf(startMs + 7_200_000));
  expect([await tables(), await stub.alarmAt()]).toEqual([[], null]);
  expect((await take(startMs + 7_200_001)).admitted).toBe(true);
  expect((await take(startMs + 7_200_002)).admitted).toBe(false);
  expect(await stub.alarmAt()).toBeGreaterThan(Date.now());
});
