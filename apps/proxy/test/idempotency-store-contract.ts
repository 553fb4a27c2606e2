import type { Clock } from "@letta-environments/platform";
import { describe, expect, test } from "vitest";
import {
  type IdempotencyStore,
  IdempotencyUnavailableError,
  type Reservation,
  retentionMs,
  type SendScope,
} from "../src/idempotency/store.ts";
import { describeIdempotencyProperties } from "./idempotency-store-properties.ts";
import { createMovableClock, type MovableClock } from "./support/create-movable-clock.ts";
import { testEntry, testReservation, testResult, testScope } from "./support/test-reservation.ts";

/** A store, which can be opened again. */
export interface IdempotencyStoreUnderTest {
  readonly store: IdempotencyStore;
  /** Opens the same store, as another process or the next start would. Absent for a store that lives in one process. */
  connect?(): IdempotencyStore;
}

/** The differences between stores. */
export interface IdempotencyStorePromises {
  /** `monotonic`: a clock that is set back has no effect. `wall`: what is stored then stays for 24 hours from the next look at it. */
  readonly time: "monotonic" | "wall";
  /** Whether the store counts its ids, so that a test can fill it. */
  readonly countsIds: boolean;
  /** Whether tenants share its capacity. Absent: each has a store of its own, or it has no capacity. */
  readonly isShared?: boolean;
  /** Number of generated runs of each property. */
  readonly runs: number;
}

/** Opens an empty store with this clock, with room for `capacity` ids and as many connections. */
export type OpenIdempotencyStore = (clock: Clock, capacity?: number) => IdempotencyStoreUnderTest;

const inProgress = { kind: "in_progress" } as const;
const unknown = { kind: "unknown" } as const;

/** Texts that a store might confuse with its separators, or cannot store as they are. All ids are well-formed Unicode. */
export const craftedTexts: readonly string[] = [
  ...["", "a", "b", "a:b", "a,b", '"', '","', "'", "\\", "{a}", "{", "}", "[", "*", "%", "_", " ", "__proto__"],
  ...["\0", "a\0", "a\0b", "\n", "\u001f", "\u007f", "\u2028", "é", "e\u0301", "☂", "👩‍🚀", "A"],
];

/** Tests the contract of {@link IdempotencyStore}. */
export function describeIdempotencyStore(
  name: string,
  promises: IdempotencyStorePromises,
  open: OpenIdempotencyStore,
): void {
  interface Subject extends IdempotencyStoreUnderTest {
    readonly clock: MovableClock;
    /** Reserves and expects that it succeeds. */
    reserved(ids: readonly string[], changes?: Partial<Reservation>): Promise<Reservation>;
    /** The ids of these that are in use in the scope. */
    inUse(ids: readonly string[], scope?: SendScope): Promise<readonly string[]>;
  }

  function setUp(capacity?: number): Subject {
    const clock = createMovableClock();
    const underTest = open(clock, capacity);
    const { store } = underTest;
    return {
      ...underTest,
      clock,
      async reserved(ids, changes) {
        const reservation = testReservation(ids, changes);
        expect(await store.reserve(reservation)).toEqual({ kind: "reserved" });
        return reservation;
      },
      inUse: async (ids, scope = testScope) => (await store.find(scope, ids)).map(({ id }) => id).toSorted(),
    };
  }

  describe(`the idempotency store ${name}`, () => {
    test("a reservation reserves all ids of a send or none", async () => {
      const { store, reserved, inUse } = setUp();
      const { sendId } = await reserved(["a", "b"]);
      const outcome = await store.reserve(testReservation(["c", "b", "d"]));
      expect(outcome).toEqual({ kind: "known", entries: [{ ...testEntry("b"), sendId, state: inProgress }] });
      expect(await inUse(["a", "b", "c", "d"])).toEqual(["a", "b"]);
    });

    test("exactly one of 100 concurrent reservations of one id succeeds, and the others receive its send", async () => {
      const { store, connect = () => store } = setUp();
      const stores = [store, connect()];
      const reservations = Array.from({ length: 100 }, (_, index) => testReservation([`own ${index}`, "shared"]));
      const outcomes = await Promise.all(
        reservations.map(async (reservation, index) => stores[index % 2]?.reserve(reservation)),
      );
      const winners = reservations.filter((_, index) => outcomes[index]?.kind === "reserved");
      expect(winners).toHaveLength(1);
      const known = { kind: "known", entries: [{ id: "shared", sendId: winners[0]?.sendId, state: inProgress }] };
      for (const outcome of outcomes) if (outcome?.kind !== "reserved") expect(outcome).toMatchObject(known);
      expect(await store.find(testScope, ["shared", "own 0", "own 1", "own 99"])).toHaveLength(
        winners.some(({ entries }) => ["own 0", "own 1", "own 99"].includes(entries[0]?.id ?? "")) ? 2 : 1,
      );
    });

    test("an id is known only in its own scope", async () => {
      const { reserved, inUse, store } = setUp();
      await reserved(["a"]);
      const others = Object.keys(testScope).map((member): SendScope => ({ ...testScope, [member]: "other" }));
      for (const scope of others) {
        expect(await inUse(["a"], scope)).toEqual([]);
        expect(await store.reserve(testReservation(["a"], { scope }))).toEqual({ kind: "reserved" });
      }
      expect(await inUse(["a", "A", "a ", "other"])).toEqual(["a"]);
      expect(await store.find(testScope, [])).toEqual([]);
    });

    test("scopes and ids never collide, whatever characters they contain", async () => {
      const { store, inUse } = setUp();
      const scopes: SendScope[] = craftedTexts.flatMap((text) => [
        { tenant: text, environmentId: "a", agentId: "a", conversationId: "a" },
        { tenant: "a", environmentId: text, agentId: "b", conversationId: "" },
        { tenant: "a", environmentId: "c", agentId: text, conversationId: "b" },
        { tenant: "a", environmentId: "d", agentId: "", conversationId: text },
      ]);
      for (const scope of scopes) {
        const reservation = testReservation(["a", "b"], { scope, sendId: JSON.stringify(scope) });
        expect([scope, await store.reserve(reservation)]).toEqual([scope, { kind: "reserved" }]);
      }
      const connectionId = 'connection "\0';
      for (const text of craftedTexts) {
        const reservation = testReservation([text], { sendId: `${JSON.stringify(text)} alone`, connectionId });
        expect([text, await store.reserve(reservation)]).toEqual([text, { kind: "reserved" }]);
        await store.settle(reservation, testResult(text));
      }
      expect(await inUse(craftedTexts)).toEqual(craftedTexts.toSorted());
      for (const { id, fingerprint, state } of await store.find(testScope, craftedTexts)) {
        expect({ fingerprint, state }).toEqual({
          fingerprint: testEntry(id).fingerprint,
          state: { kind: "finished", result: testResult(id) },
        });
      }
      expect(await store.findConnection("default", connectionId)).not.toBeNull();
    });

    test("every id of a send returns the result that was stored first", async () => {
      const { store, reserved } = setUp();
      const reservation = await reserved(["a", "b"]);
      const result = { status: 409, headers: { "x-a": "é", "x-b": "" }, body: 'é"\0\ud83d\ude80\n' };
      await store.settle(reservation, result);
      await store.settle(reservation, testResult("second"));
      const entries = ["a", "b"].map((id) => ({
        ...testEntry(id),
        sendId: reservation.sendId,
        state: { kind: "finished", result },
      }));
      expect([...(await store.find(testScope, ["b", "a"]))].toSorted((x, y) => (x.id < y.id ? -1 : 1))).toEqual(
        entries,
      );
      expect(await store.reserve(testReservation(["a"]))).toEqual({ kind: "known", entries: entries.slice(0, 1) });
    });

    test("a released send frees its ids at once, and stores no later result", async () => {
      const { store, reserved, inUse } = setUp();
      const reservation = await reserved(["a", "b"]);
      await store.release(reservation);
      expect(await inUse(["a", "b"])).toEqual([]);
      await store.settle(reservation, testResult("late"));
      expect(await inUse(["a", "b"])).toEqual([]);
      const next = await reserved(["a"]);
      await store.settle(reservation, testResult("late"));
      expect(await store.find(testScope, ["a"])).toMatchObject([{ sendId: next.sendId, state: inProgress }]);
    });

    test("a release frees neither the ids of another send nor ids with a result", async () => {
      const { store, reserved, inUse } = setUp();
      const [first, finished] = [await reserved(["a"]), await reserved(["b"])];
      await store.settle(finished, testResult("b"));
      await store.release(testReservation(["a", "b", "c"]));
      await store.release(finished);
      expect(await inUse(["a", "b"])).toEqual(["a", "b"]);
      await store.release(first);
      const next = await reserved(["a"]);
      await store.release(first);
      expect(await store.find(testScope, ["a", "b"])).toMatchObject([{ sendId: next.sendId }, { id: "b" }]);
    });

    test("a reservation that arrives after its release, up to 24 hours later, reserves nothing, and its ids stay free", async () => {
      const { store, connect = () => store, clock, reserved, inUse } = setUp();
      const other = await reserved(["a"]);
      const late = testReservation(["a", "b"], { connectionId: "late" });
      for (let count = 0; count < 2; count++) await store.release(late);
      expect(await inUse(["a", "b"])).toEqual(["a"]);
      await store.release(other);
      clock.move(retentionMs - 1);
      await expect(connect().reserve(late)).rejects.toBeInstanceOf(IdempotencyUnavailableError);
      expect([await inUse(["a", "b"]), await store.findConnection("default", "late")]).toEqual([[], null]);
      const repeat = await reserved(["b", "a"]);
      await expect(store.reserve(late)).rejects.toBeInstanceOf(IdempotencyUnavailableError);
      await store.release(late);
      expect(await store.find(testScope, ["a"])).toMatchObject([{ sendId: repeat.sendId, state: inProgress }]);
    });

    test("a send without a result is in progress until its lease ends, and unknown after that", async () => {
      const { store, clock, reserved } = setUp();
      const reservation = await reserved(["a"], { leaseMs: 30_000 });
      clock.move(29_999);
      expect(await store.find(testScope, ["a"])).toMatchObject([{ state: inProgress }]);
      clock.move(1);
      expect(await store.find(testScope, ["a"])).toMatchObject([{ state: unknown }]);
      expect(await store.reserve(testReservation(["a"]))).toMatchObject({ kind: "known" });
      await store.settle(reservation, testResult("late"));
      const finished = { kind: "finished", result: testResult("late") };
      expect(await store.find(testScope, ["a"])).toMatchObject([{ state: finished }]);
    });

    test("ids are remembered for exactly 24 hours from their reservation, with or without a result", async () => {
      const { store, clock, reserved, inUse } = setUp();
      const first = await reserved(["a", "b"]);
      clock.move(1_000);
      await reserved(["c"]);
      await store.settle(first, testResult("a"));
      clock.move(retentionMs - 1_001);
      expect(await inUse(["a", "b", "c"])).toEqual(["a", "b", "c"]);
      clock.move(1);
      expect(await inUse(["a", "b", "c"])).toEqual(["c"]);
      const again = await reserved(["a"]);
      await store.settle(first, testResult("too late"));
      await store.release(first);
      expect(await store.find(testScope, ["a", "b"])).toMatchObject([{ sendId: again.sendId, state: inProgress }]);
      clock.move(1_000);
      expect(await inUse(["a", "b", "c"])).toEqual(["a"]);
    });

    test("a connection is remembered for 24 hours after the last send to it, for its tenant only", async () => {
      const { store, clock, reserved } = setUp();
      const connection = { environmentId: "row", deviceId: "device", connectionName: 'naïve ☂ "\0' };
      const at = (tenant: string) => ({ scope: { ...testScope, tenant }, connectionId: "c", connection });
      const first = await reserved(["a"], at("one"));
      await store.release(first);
      expect(await store.findConnection("one", "c")).toEqual(connection);
      expect([await store.findConnection("two", "c"), await store.findConnection("one", "d")]).toEqual([null, null]);
      clock.move(3_600_000);
      const renamed = { ...connection, connectionName: "renamed", tags: ["ci"] };
      await reserved(["b"], { ...at("one"), connection: renamed });
      expect(await store.findConnection("one", "c")).toEqual(renamed);
      const tagged = { ...renamed, tags: ["ci", "gpu"] };
      await reserved(["c"], { ...at("one"), connection: tagged });
      clock.move(retentionMs - 1);
      expect(await store.findConnection("one", "c")).toEqual(tagged);
      clock.move(1);
      expect(await store.findConnection("one", "c")).toBeNull();
    });

    test("a repeat through another connection of the device is remembered with that connection", async () => {
      const { store, reserved } = setUp();
      const { connection } = await reserved(["a"]);
      const repeat = testReservation(["a"], { connectionId: "connection-2" });
      expect(await store.reserve(repeat)).toMatchObject({ kind: "known" });
      expect(await store.findConnection("default", "connection-2")).toEqual(connection);
    });

    if (promises.countsIds) describeCapacity(setUp);
    if (promises.isShared === true) describeShares(setUp);

    test("ids, results and connections are shared with every process that opens the store", async () => {
      const { connect, clock, reserved, store } = setUp();
      if (connect === undefined) return;
      const [finished, open1] = [await reserved(["a"]), await reserved(["b"])];
      await store.settle(finished, testResult("a"));
      const other = connect();
      expect(await other.find(testScope, ["a"])).toMatchObject([{ state: { result: testResult("a") } }]);
      expect(await other.reserve(testReservation(["b"]))).toMatchObject({
        kind: "known",
        entries: [{ sendId: open1.sendId }],
      });
      expect(await other.findConnection("default", "connection-1")).toEqual(finished.connection);
      clock.move(60_000);
      expect(await other.find(testScope, ["b"])).toMatchObject([{ state: unknown }]);
      await other.release(open1);
      expect(await store.find(testScope, ["b"])).toEqual([]);
    });

    describeIdempotencyProperties(promises, open);
  });
}

/** Opens a store with room for a number of ids. */
type SetUpWithCapacity = (capacity: number) => {
  readonly store: IdempotencyStore;
  readonly clock: MovableClock;
  reserved(ids: readonly string[], changes?: Partial<Reservation>): Promise<Reservation>;
  inUse(ids: readonly string[]): Promise<readonly string[]>;
};

function describeShares(setUp: SetUpWithCapacity): void {
  test("a tenant that uses more than an eighth leaves the last quarter to others, and does not make a full store of theirs", async () => {
    const { store, clock, reserved } = setUp(16);
    const names = (tenant: string, count: number) => Array.from({ length: count }, (_, index) => `${tenant} ${index}`);
    const inTenant = (tenant: string, ids: readonly string[]) =>
      testReservation(ids, { scope: { ...testScope, tenant } });
    await reserved(names("default", 12));
    const full = { kind: "full" };
    expect(await store.reserve(testReservation(["more"]))).toEqual(full);
    // A name that begins like the other one is another tenant.
    for (const tenant of ["default-2", "def"]) {
      expect(await store.reserve(inTenant(tenant, names(tenant, 2)))).toEqual({ kind: "reserved" });
      expect(await store.reserve(inTenant(tenant, ["more"]))).toEqual(full);
    }
    expect(await store.reserve(inTenant("third", ["one"]))).toEqual(full);
    clock.move(retentionMs);
    expect(await store.reserve(testReservation(names("default", 12)))).toEqual({ kind: "reserved" });
  });
}

function describeCapacity(setUp: SetUpWithCapacity): void {
  test("a full store reserves nothing and forgets nothing, until ids are released or expire", async () => {
    const { store, clock, reserved, inUse } = setUp(3);
    const first = await reserved(["a", "b"]);
    await store.settle(first, testResult("a"));
    clock.move(1_000);
    const full = { kind: "full" };
    expect(await store.reserve(testReservation(["c", "d"]))).toEqual(full);
    const second = await reserved(["c"]);
    expect(await store.reserve(testReservation(["d"]))).toEqual(full);
    expect(await store.reserve(testReservation(["a"]))).toMatchObject({ kind: "known" });
    expect(await inUse(["a", "b", "c", "d"])).toEqual(["a", "b", "c"]);
    await store.release(second);
    await reserved(["d"]);
    clock.move(retentionMs - 1_001);
    expect(await store.reserve(testReservation(["e"]))).toEqual(full);
    clock.move(1);
    await reserved(["e", "f"]);
    expect(await store.reserve(testReservation(["g"]))).toEqual(full);
    expect(await inUse(["a", "b", "c", "d", "e", "f"])).toEqual(["d", "e", "f"]);
  });

  test("a full store refuses a send to a connection that it cannot remember", async () => {
    const { store, clock, reserved, inUse } = setUp(2);
    for (const connectionId of ["one", "two"]) await store.release(await reserved(["a"], { connectionId }));
    expect(await store.reserve(testReservation(["a"], { connectionId: "three" }))).toEqual({ kind: "full" });
    expect(await inUse(["a"])).toEqual([]);
    clock.move(retentionMs - 1);
    await store.release(await reserved(["a"], { connectionId: "two" }));
    clock.move(1);
    await reserved(["a"], { connectionId: "three" });
    expect(await store.findConnection("default", "one")).toBeNull();
    expect(await store.findConnection("default", "two")).not.toBeNull();
  });

  test("thousands of expired ids make room for as many new ones at once", async () => {
    const { store, clock, reserved } = setUp(2_700);
    for (let index = 0; index < 100; index++) {
      await reserved(Array.from({ length: 20 }, (_, entry) => `old ${index} ${entry}`));
    }
    clock.move(retentionMs);
    const ids = Array.from({ length: 1_900 }, (_, index) => `new ${index}`);
    expect(await store.reserve(testReservation(ids))).toEqual({ kind: "reserved" });
  });
}
