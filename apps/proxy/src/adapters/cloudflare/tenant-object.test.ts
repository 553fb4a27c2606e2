/** The alarm of a tenant's object through starts of the object; `test/cloudflare/contracts.test.ts` tests the rest in workerd. */
import { beforeEach, expect, test, vi } from "vitest";
import { createFakeContext, workersModule } from "../../../test/cloudflare/fake-isolate.ts";
import { finishedSend } from "../../../test/support/test-audit.ts";
import { testReservation, testResult, testScope } from "../../../test/support/test-reservation.ts";
import { retentionMs } from "../../idempotency/store.ts";

vi.mock("cloudflare:workers", () => workersModule);
const { TenantObject } = await import("./tenant-object.ts");

const startMs = 1_800_000_000_000;

beforeEach(() => {
  vi.useFakeTimers({ now: startMs, toFake: ["Date"] });
  return () => void vi.useRealTimers();
});

/** A storage that has an alarm, and objects over it one after the other. */
function openStorage() {
  const context = createFakeContext();
  const storage = context.storage as typeof context.storage & { deleteAlarm(): Promise<void> };
  const clock = { now: () => Date.now(), monotonic: () => Date.now() };
  const start = () => new TenantObject(context, { KEY_PEPPER: "p" }, { clock, capacity: 10 });
  return {
    storage,
    start,
    /** Runs the alarm in a new instance, as the platform does: it is no longer set then. */
    async ring() {
      await storage.deleteAlarm();
      await start().alarm();
    },
  };
}

async function sendAndRecord(object: InstanceType<typeof TenantObject>): Promise<void> {
  const reservation = testReservation(["a"]);
  expect(await object.reserve(reservation)).toEqual({ kind: "reserved" });
  const entry = { type: "key_change_started", actor: { kind: "start" }, keyId: "k" } as const;
  const ended = await object.conclude({ stored: { reservation, result: testResult("a") }, entry, leases: [] });
  expect(ended).toEqual({ storeFailure: null, auditFailure: null });
}

test("restarting an object does not postpone its alarm", async () => {
  const { storage, start } = openStorage();
  await sendAndRecord(start());
  const firstAlarm = await storage.getAlarm();
  expect(firstAlarm).toBe(startMs + 3_600_000);
  vi.setSystemTime(startMs + 3_000_000);
  expect(await start().find(testScope, ["a"])).toHaveLength(1);
  expect(await storage.getAlarm()).toBe(firstAlarm);
});

test("an alarm that could not be set is set by the next call", async () => {
  const { storage, start } = openStorage();
  const { setAlarm } = storage;
  const object = start();
  Object.assign(storage, { setAlarm: () => Promise.reject(new Error("the storage failed")) });
  await object.find(testScope, ["a"]);
  Object.assign(storage, { setAlarm });
  expect(await storage.getAlarm()).toBeNull();
  await object.find(testScope, ["a"]);
  await vi.waitFor(async () => expect(await storage.getAlarm()).toBe(startMs + 3_600_000));
});

test("an object that has only audit records is not woken again, until it is used again", async () => {
  const { storage, start, ring } = openStorage();
  await sendAndRecord(start());
  vi.setSystemTime(startMs + retentionMs);
  await ring();
  expect(await storage.getAlarm()).toBeNull();
  expect(storage.sql.exec("SELECT 1 AS kept FROM audit_heads").toArray()).toEqual([{ kept: 1 }]);
  expect(await start().find(testScope, ["a"])).toEqual([]);
  expect(await storage.getAlarm()).toBe(startMs + retentionMs + 3_600_000);
});

test("a result that arrives twice is stored and recorded once, whether or not the first call took effect", async () => {
  for (const result of [testResult("a"), null]) {
    const { storage, start } = openStorage();
    const [first, second] = [testReservation(["a"]), testReservation(["b"])];
    await start().reserve(first);
    await start().reserve(second);
    const endOf = (reservation: typeof first) => ({
      ...{ stored: { reservation, result }, entry: finishedSend(reservation.sendId), leases: [] },
    });
    await start().conclude(endOf(first));
    const outcome = { storeFailure: null, auditFailure: null };
    for (const reservation of [first, second])
      expect(await start().conclude({ ...endOf(reservation), isRepeat: true })).toEqual(outcome);
    const records = storage.sql.exec("SELECT text FROM audit_records").toArray();
    const ended = records.flatMap(({ text }) => /"send_finished".*"sendId":"([^"]+)"/.exec(text as string)?.[1] ?? []);
    expect([ended.length, new Set(ended)]).toEqual([2, new Set([first.sendId, second.sendId])]);
    const kinds = (await start().find(testScope, ["a", "b"])).map(({ state }) => state.kind);
    expect(kinds).toEqual(result === null ? [] : ["finished", "finished"]);
  }
});
