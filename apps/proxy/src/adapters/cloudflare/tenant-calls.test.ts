import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { testReservation, testResult, testScope } from "../../../test/support/test-reservation.ts";
import { finishedSend } from "../../../test/support/test-audit.ts";
import { testCheck } from "../../../test/support/test-check.ts";
import type { AuditEntry } from "../../audit/entry.ts";
import type { AuditLog } from "../../audit/log.ts";
import type { IdempotencyStore } from "../../idempotency/store.ts";
import { createDurableAuditLog, createTenantCalls } from "./tenant-calls.ts";
import type { SendEnd, TenantObjectStub } from "./tenant-object.ts";

const reservation = testReservation(["a"]);
const { sendId } = reservation;
const calls: readonly ((store: IdempotencyStore) => Promise<unknown>)[] = [
  (store) => store.reserve(reservation),
  (store) => store.find(testScope, ["a"]),
  (store) => store.settle(reservation, testResult("a")),
  (store) => store.release(reservation),
  (store) => store.findConnection("default", "connection-1"),
];
const start: AuditEntry = {
  ...{ type: "send_started", sendId, requestId: "r", tenant: testScope.tenant, keyId: "k", owner: "o" },
  ...{ connectionId: "c", deviceId: "d", agentId: null, conversationId: null, messageIds: [], answersApproval: false },
};
const noLog: AuditLog = { append: () => Promise.reject(new Error("an entry of no tenant")) };

function stubOf(respond: () => Promise<never>): TenantObjectStub {
  return { take: respond, reserve: respond, find: respond, findConnection: respond, conclude: respond };
}

/** Calls to an object that reserves everything, and ends of sends as it received them. */
function setUp(
  outcome = { storeFailure: null as string | null, auditFailure: null as string | null },
  failures: readonly unknown[] = [],
) {
  const clock = createVirtualClock();
  const ends: SendEnd[] = [];
  const started: unknown[] = [];
  const failing = [...failures];
  const work: Promise<unknown>[] = [];
  const stub: TenantObjectStub = {
    ...stubOf(() => Promise.reject(new Error("unexpected"))),
    async reserve(_reservation, entry) {
      started.push(entry);
      return { kind: "reserved", isRecorded: true };
    },
    async conclude(end) {
      ends.push(end);
      if (failing.length > 0) throw failing.shift();
      return outcome;
    },
  };
  const tenant = createTenantCalls({ objectOf: () => stub, clock, background: (promise) => void work.push(promise) });
  return { clock, ends, started, work, tenant, log: tenant.auditLog(noLog) };
}

test("thousands of sends that do not begin leave the record of a running send's end in the log of its tenant", async () => {
  const ended: unknown[] = [];
  const stub: TenantObjectStub = {
    ...stubOf(() => Promise.reject(new Error("unexpected"))),
    reserve: async ({ scope }) =>
      scope.tenant === "other" ? { kind: "full" } : { kind: "reserved", isRecorded: true },
    async conclude({ entry }) {
      ended.push(entry);
      return { storeFailure: null, auditFailure: null };
    },
  };
  const clock = createVirtualClock();
  const tenants = createTenantCalls({ objectOf: () => stub, clock, background: () => undefined });
  const log = tenants.auditLog(noLog);
  await tenants.sends.reserve(reservation, () => log.appendInTransaction(start));
  for (let index = 0; index < 10_000; index++) {
    const refused = testReservation(["a"], { scope: { ...testScope, tenant: "other" } });
    await tenants.sends.reserve(refused, () => log.appendInTransaction({ ...start, tenant: "other" }));
  }
  await log.append(finishedSend(sendId));
  expect(ended).toEqual([finishedSend(sendId)]);
});

test("every call rejects with a typed error after five seconds when the object does not respond", async () => {
  const clock = createVirtualClock();
  const objectOf = () => stubOf(() => new Promise(() => undefined));
  const { sends } = createTenantCalls({ objectOf, clock, background: () => undefined });
  for (const call of calls) {
    let failure: unknown = null;
    void call(sends).catch((cause: unknown) => (failure = cause));
    await clock.advance(4_999);
    expect(failure).toBeNull();
    await clock.advance(51);
    expect(failure).toMatchObject({ name: "IdempotencyUnavailableError", cause: { message: /in time/ } });
  }
});

test("a failure of the object, or of its name, is a typed error with its cause, and leaves no timer", async () => {
  const clock = createVirtualClock();
  const cause = new Error("broken");
  const failing = [
    () => stubOf(() => Promise.reject(cause)),
    () => {
      throw cause;
    },
  ];
  for (const objectOf of failing) {
    const { sends } = createTenantCalls({ objectOf, clock, background: () => undefined });
    for (const call of calls) {
      let failure: unknown = null;
      void call(sends).catch((thrown: unknown) => (failure = thrown));
      await clock.advance(50);
      expect(failure).toMatchObject({ name: "IdempotencyUnavailableError", cause });
    }
  }
  await clock.advance(0);
  expect(clock.timerCount).toBe(0);
});

test("a reservation and the record of its start are one call, and so are the result, the record of the end and the leases", async () => {
  const { ends, started, tenant, log } = setUp();
  await tenant.sends.reserve(reservation, () => log.appendInTransaction(start));
  expect(started).toEqual([start]);
  const settled = tenant.sends.settle(reservation, testResult("a"));
  const check = testCheck({ unit: "concurrent-requests" });
  await tenant.limitsOf(testScope.tenant).release("lease", [check]);
  const end = finishedSend(sendId);
  await Promise.all([log.append(end), settled]);
  const stored = { reservation, result: testResult("a") };
  expect(ends).toEqual([{ stored, entry: end, leases: [{ leaseId: "lease", checks: [check] }] }]);
});

test("a result without an end record, and leases without a send, are stored separately after a moment", async () => {
  const { clock, ends, work, tenant } = setUp();
  const settled = tenant.sends.release(reservation);
  await tenant.limitsOf("other").release("lease", []);
  await clock.advance(50);
  await Promise.all([settled, ...work]);
  expect(ends).toEqual([
    { leases: [{ leaseId: "lease", checks: [] }] },
    { stored: { reservation, result: null }, leases: [] },
  ]);
  expect(clock.timerCount).toBe(0);
});

test("a result that could not be stored and an entry that could not be recorded are reported separately", async () => {
  for (const [storeFailure, auditFailure] of [
    ["full", null],
    [null, "full"],
  ] as const) {
    const { tenant, log } = setUp({ storeFailure, auditFailure });
    await tenant.sends.reserve(reservation, () => log.appendInTransaction(start));
    const results = await Promise.allSettled([
      tenant.sends.settle(reservation, testResult("a")),
      log.append(finishedSend(sendId)),
    ]);
    expect(results.map(({ status }) => status)).toEqual([
      storeFailure === null ? "fulfilled" : "rejected",
      auditFailure === null ? "fulfilled" : "rejected",
    ]);
  }
});

test("a result is sent once more, marked as a repeat, if its object was restarted meanwhile, but not if the object is busy", async () => {
  for (const [failures, told, status] of [
    [[new Error("reset")], [undefined, true], "fulfilled"],
    [[new Error("reset"), new Error("reset again")], [undefined, true], "rejected"],
    [[Object.assign(new Error("busy"), { overloaded: true })], [undefined], "rejected"],
  ] as const) {
    const { clock, ends, tenant, log } = setUp(undefined, failures);
    await tenant.sends.reserve(reservation, () => log.appendInTransaction(start));
    const end = finishedSend(sendId);
    const results = await Promise.allSettled([
      tenant.sends.settle(reservation, testResult("a")),
      tenant.limitsOf(testScope.tenant).release("lease", []),
      log.append(end),
    ]);
    const same = {
      entry: end,
      stored: { reservation, result: testResult("a") },
      leases: [{ leaseId: "lease", checks: [] }],
    };
    expect(ends).toEqual(told.map((isRepeat) => ({ ...same, isRepeat })));
    expect([results[0]?.status, results[2]?.status]).toEqual([status, status]);
    await clock.advance(0);
    expect(clock.timerCount).toBe(0);
  }
});

test("an entry without a result is not sent again, because it could already be in the log", async () => {
  const { ends, tenant, log } = setUp(undefined, [new Error("reset")]);
  await tenant.sends.reserve(reservation, () => log.appendInTransaction(start));
  await expect(log.append(finishedSend(sendId))).rejects.toMatchObject({ name: "AuditUnavailableError" });
  expect(ends).toHaveLength(1);
});

test("entries without a tenant go to the log of the gateway", async () => {
  const { tenant } = setUp();
  const other: unknown[] = [];
  const log = tenant.auditLog({ append: async (entry) => void other.push(entry) });
  const entry = { type: "key_change_started", actor: { kind: "operator" }, keyId: "k" } as never;
  await log.append(entry);
  expect(other).toEqual([entry]);
});

test("an entry that the object does not confirm within five seconds counts as not recorded", async () => {
  const clock = createVirtualClock();
  const log = createDurableAuditLog(() => ({ append: () => new Promise(() => undefined) }), clock);
  let failure: unknown = null;
  void log.append({} as never).catch((cause: unknown) => (failure = cause));
  await clock.advance(4_999);
  expect(failure).toBeNull();
  await clock.advance(1);
  expect(failure).toMatchObject({ name: "AuditUnavailableError", cause: { message: /in time/ } });
});
