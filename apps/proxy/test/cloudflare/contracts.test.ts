/** The contracts of the ports, for the stores of Workers in workerd. */
import { resolve } from "node:path";
import process from "node:process";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import type { TestHarness } from "wrangler";
import { createDurableKeyStore } from "../../src/adapters/cloudflare/key-store.ts";
import { createDurableRateLimitStore } from "../../src/adapters/cloudflare/rate-limit-store.ts";
import type { KeyObjectStub } from "../../src/adapters/cloudflare/key-object.ts";
import type { ObjectNamespace } from "../../src/runtimes/cloudflare/settings.ts";
import { createTenantCalls } from "../../src/adapters/cloudflare/tenant-calls.ts";
import type { RateLimitObjectStub, TenantObjectStub } from "../../src/adapters/cloudflare/tenant-object.ts";
import { systemClock } from "@letta-environments/platform/node";
import { defaultCapacity } from "../../src/adapters/sqlite/idempotency-tables.ts";
import { retentionMs } from "../../src/idempotency/store.ts";
import { describeIdempotencyStore } from "../idempotency-store-contract.ts";
import { describeKeyStore } from "../key-store-contract.ts";
import { describeRateLimitStore } from "../rate-limit-store-contract.ts";
import { testReservation, testResult, testScope } from "../support/test-reservation.ts";
import { createTestKeyRecord } from "../support/create-test-key-record.ts";
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

interface ClockedSendStub extends TenantObjectStub {
  moveTo(nowMs: number, capacity: number): Promise<void>;
  ring(): Promise<void>;
  beginChain(): Promise<number>;
  alarmAt(): Promise<number | null>;
}

interface ContractBindings {
  readonly KEYS: ObjectNamespace<KeyObjectStub>;
  readonly LIMITS: ObjectNamespace<ClockedStub>;
  readonly TENANTS: ObjectNamespace<ClockedSendStub>;
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
const sendObject = keepStubs(() => bindings.TENANTS);

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

test("keys that are together longer than a result of an object may be are listed in parts, and each call of an earlier version still works", async () => {
  const stub = keyObject("long keys");
  const store = createDurableKeyStore({ keys: () => stub, clock: systemClock, background: () => undefined });
  const description = "é".repeat(1_000_000);
  const own = createTestKeyRecord({ tenant: "own" }, 50);
  await store.create(own);
  expect((await stub.list()).value).toEqual([[own.id, JSON.stringify(own)]]);
  // The record of another id counts as damaged, so that the list below is short.
  const text = JSON.stringify(createTestKeyRecord({ description, tenant: "other" }, 1));
  for (let index = 0; index < 36; index += 1) await stub.insert(`long-${index}`, index, text);
  const all = stub.list().then(
    () => "listed",
    () => "too long",
  );
  expect(await all).toBe("too long");
  expect(await store.list({ after: undefined, limit: 21, matches: () => true, tenant: "own" })).toEqual([own]);
  expect((await store.summarize(5)).live).toEqual(new Map(Object.entries({ other: true, own: true })));
  const seen: string[] = [];
  await store.list({ after: undefined, limit: 21, matches: ({ id }) => seen.push(id) === 0 });
  expect(seen).toEqual([own.id]);
  const page = await store.list({ after: "long-35", limit: 21, matches: () => true });
  expect(page).toEqual([own]);
});

describeRateLimitStore("in a Durable Object", { time: "monotonic", runs: 15 }, (clock) => {
  const prefix = `limits ${count++}`;
  return createDurableRateLimitStore({
    objectOf({ shard }) {
      const stub = limitObject(`${prefix} ${shard ?? ""}`);
      return {
        take: (...take) => stub.takeAt({ nowMs: clock.now(), monotonicMs: clock.monotonic() }, ...take),
        release: (leaseId, checks) => stub.release(leaseId, checks),
      };
    },
    clock,
    background: () => undefined,
  });
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

/** The object at a time and with room for `capacity` ids. */
function sendObjectAt(name: string, nowMs: () => number, capacity: number): TenantObjectStub {
  const stub = sendObject(name);
  let lastMs: number | null = null;
  let moving: Promise<void> = Promise.resolve();
  const at =
    <Values extends readonly unknown[], Result>(call: (...values: Values) => Promise<Result>) =>
    async (...values: Values): Promise<Result> => {
      // Every call waits for the time, because one that overtook it would find no room.
      if (lastMs !== nowMs()) moving = stub.moveTo((lastMs = nowMs()), capacity);
      await moving;
      return call(...values);
    };
  return {
    take: at((checks, options) => stub.take(checks, options)),
    reserve: at((reservation) => stub.reserve(reservation)),
    find: at((scope, ids) => stub.find(scope, ids)),
    conclude: at((end) => stub.conclude(end)),
    findConnection: at((tenant, connectionId) => stub.findConnection(tenant, connectionId)),
  };
}

describeIdempotencyStore(
  "in a Durable Object",
  { time: "monotonic", countsIds: true, runs: 15 },
  (clock, capacity = defaultCapacity) => {
    const prefix = `sends ${count++}`;
    const startMs = clock.now() - clock.monotonic();
    const objects = new Map<string, TenantObjectStub>();
    const objectOf = (name: string): TenantObjectStub => {
      const object =
        objects.get(name) ?? sendObjectAt(`${prefix} ${name}`, () => startMs + clock.monotonic(), capacity);
      objects.set(name, object);
      return object;
    };
    const connect = () =>
      createTenantCalls({
        objectOf,
        clock: systemClock,
        background: () => undefined,
        timeoutMs: 60_000,
        holdMs: 0,
      }).sends;
    return { store: connect(), connect };
  },
);

test("a send object without requests removes expired sends and finally all of its storage", async () => {
  const name = "sends of somebody who left";
  const startMs = 1_800_000_000_000;
  let nowMs = startMs;
  const stub = sendObject(name);
  const object = sendObjectAt(name, () => nowMs, 10);
  const ring = async (): Promise<void> => {
    await stub.moveTo(nowMs, 10);
    await stub.ring();
  };
  const storage = await server.getWorker().getDurableObjectStorage("TENANTS", { name });
  const first = testReservation(["a", "b"]);
  expect(await object.reserve(first)).toEqual({ kind: "reserved" });
  await object.conclude({ stored: { reservation: first, result: testResult("a") }, leases: [] });
  expect(await stub.alarmAt()).toBeGreaterThan(Date.now());
  nowMs += 60_000;
  await object.reserve(testReservation(["c"]));
  nowMs = startMs + retentionMs;
  await ring();
  expect(await storage.exec("SELECT ids, connections FROM send_counts")).toMatchObject([{ ids: 1, connections: 1 }]);
  expect(await stub.alarmAt()).toBeGreaterThan(Date.now());
  nowMs += 60_000;
  await ring();
  expect(await storage.exec("SELECT name FROM sqlite_master WHERE name LIKE 'send%'")).toEqual([]);
  expect(await stub.alarmAt()).toBeNull();
  expect(await object.find(testScope, ["a", "c"])).toEqual([]);
  expect(await object.reserve(testReservation(["a"]))).toEqual({ kind: "reserved" });
  expect(await stub.alarmAt()).toBeGreaterThan(Date.now());
});

test("a send object drops its old audit records in its alarm, and nothing else can delete one", async () => {
  const name = "sends with old records";
  const stub = sendObject(name);
  const sql = await server.getWorker().getDurableObjectStorage("TENANTS", { name });
  await stub.moveTo(Date.now(), 10);
  const started = { type: "key_change_started", actor: { kind: "start" }, keyId: "k" } as const;
  expect(await stub.reserve(testReservation(["a"]), started)).toMatchObject({ kind: "reserved" });
  await stub.ring();
  expect(await sql.exec("SELECT count(*) AS count FROM audit_records")).toEqual([{ count: 2 }]);
  await expect(sql.exec("DELETE FROM audit_records")).rejects.toThrow("deleted by retention alone");
  await stub.moveTo(Date.now() + 2 * 86_400_000, 10);
  await stub.ring();
  expect(await sql.exec("SELECT count(*) AS count FROM audit_records")).toEqual([{ count: 0 }]);
  expect(await sql.exec("SELECT sequence, closed FROM audit_dropped")).toEqual([{ sequence: 2, closed: 0 }]);
  expect(await stub.reserve(testReservation(["b"]), started)).toMatchObject({ kind: "reserved" });
  expect(await sql.exec("SELECT sequence FROM audit_records")).toEqual([{ sequence: 3 }]);
});

test("starting a send object reads as many rows after thousands of starts as after two", async () => {
  const name = "sends with many starts";
  const stub = sendObject(name);
  const sql = await server.getWorker().getDurableObjectStorage("TENANTS", { name });
  await stub.beginChain();
  const rowsRead = await stub.beginChain();
  await sql.exec(
    `WITH RECURSIVE starts (ordinal) AS (SELECT 3 UNION ALL SELECT ordinal + 1 FROM starts WHERE ordinal < 3000)
    INSERT INTO audit_heads (writer, ordinal, sequence, hash, pepper_id, seal, noted)
    SELECT 'writer-' || ordinal, ordinal, 1, '', '', '', 1 FROM starts`,
  );
  await stub.beginChain();
  expect(await stub.beginChain()).toBe(rowsRead);
  const [last] = await sql.exec(
    "SELECT text FROM audit_records WHERE writer = (SELECT writer FROM audit_heads WHERE ordinal = 3002)",
  );
  expect(JSON.parse(last?.["text"] as string)).toMatchObject({ type: "writer_opened", ends: [{ sequence: 1 }] });
});
