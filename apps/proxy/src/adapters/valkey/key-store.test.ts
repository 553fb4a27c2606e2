import { ValkeyError } from "@letta-environments/platform";
import { connectValkey } from "@letta-environments/platform/valkey";
import {
  canLaunchValkey,
  createVirtualClock,
  type LaunchedValkey,
  launchValkey,
  type VirtualClock,
} from "@letta-environments/testkit";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { describeKeyStore } from "../../../test/key-store-contract.ts";
import { type CountedConnection, countPending } from "../../../test/support/count-pending.ts";
import { createTestKeyRecord } from "../../../test/support/create-test-key-record.ts";
import { revokeKey } from "../../keys/key-lifecycle.ts";
import { KeyStoreUnavailableError } from "../../keys/key-store-outages.ts";
import { openValkeyKeyStore, type ValkeyKeyStore } from "./key-store.ts";

let server: LaunchedValkey;
const stores: ValkeyKeyStore[] = [];
const connections: CountedConnection[] = [];

function connect(url: string = server.url, timeoutMs = 2_000): CountedConnection {
  const connection = countPending(connectValkey(url, { timeoutMs, onFailure: () => undefined }));
  connections.push(connection);
  return connection;
}

async function open(connection: CountedConnection, clock: VirtualClock): Promise<ValkeyKeyStore> {
  const store = await openValkeyKeyStore(connection, clock);
  stores.push(store);
  return store;
}

async function settle(): Promise<void> {
  for (const connection of connections) await connection.settle();
}

/** Lets virtual time pass, second by second, so that every read of the stamp completes before the next one. */
async function pass(clock: VirtualClock, durationMs: number): Promise<void> {
  for (let passedMs = 0; passedMs < durationMs; passedMs += 1_000) {
    await clock.advance(Math.min(1_000, durationMs - passedMs));
    await settle();
  }
}

/** Returns a clock that {@link skip} moves without running its timers, as the time during which the process does not run. */
function suspendable(clock: VirtualClock): { readonly clock: VirtualClock; skip(durationMs: number): void } {
  let skippedMs = 0;
  return {
    clock: { ...clock, monotonic: () => clock.monotonic() + skippedMs },
    skip: (durationMs) => void (skippedMs += durationMs),
  };
}

/** Sends PING until the server responds again. */
async function untilResponding(connection: CountedConnection): Promise<void> {
  for (;;) {
    const reply = await connection.command(["PING"]).catch(() => null);
    if (reply === "PONG") return;
    await new Promise((resolve) => void setTimeout(resolve, 10));
  }
}

describe.skipIf(!canLaunchValkey())("keys in Valkey", () => {
  beforeAll(async () => {
    server = await launchValkey();
  });
  beforeEach(async () => {
    await connect().command(["FLUSHALL"]);
  });
  afterEach(async () => {
    for (const store of stores.splice(0)) store.close();
    for (const connection of connections.splice(0)) await connection.close();
  });
  afterAll(() => server.stop());

  describeKeyStore("in Valkey", { generationBoundMs: 2_000, storesText: true }, () => ({
    connect: (clock, onDamaged) => openValkeyKeyStore(connect(), clock, onDamaged),
    async damage(id, text) {
      await connect().command(["HSET", "{letta-environments:keys}:records", id, text]);
    },
    settle,
  }));

  test("a list of keys reads each record of others once, and then only those of its page, in replies of bounded length", async () => {
    const connection = connect();
    const lengths: number[] = [];
    const measure = async <Reply>(reply: Promise<Reply>): Promise<Reply> => {
      lengths.push(JSON.stringify(await reply).length);
      return reply;
    };
    const store = await openValkeyKeyStore(
      {
        ...connection,
        command: (...values) => measure(connection.command(...values)),
        evaluate: (...values) => measure(connection.evaluate(...values)),
      },
      createVirtualClock(),
    );
    stores.push(store);
    const description = "a".repeat(200_000);
    for (let createdAt = 1; createdAt <= 10; createdAt += 1)
      await store.create(createTestKeyRecord({ tenant: "other", description }, createdAt));
    const own = createTestKeyRecord({ tenant: "own" });
    await store.create(own);
    const list = () => store.list({ after: undefined, limit: 1, matches: () => true, tenant: "own" });
    const total = (): number => lengths.splice(0).reduce((sum, length) => sum + length, 0);
    lengths.length = 0;
    expect(await list()).toEqual([own]);
    expect(Math.max(...lengths)).toBeLessThan(900_000);
    expect(total()).toBeGreaterThan(2_000_000);
    expect(await list()).toEqual([own]);
    expect(total()).toBeLessThan(2_000);
    await store.summarize(5);
    expect(Math.max(...lengths)).toBeLessThan(900_000);
  });

  test("a change by another process changes the generation within two seconds", async () => {
    const clock = createVirtualClock();
    const [store, other] = [await open(connect(), clock), await open(connect(), clock)];
    const before = store.generation();
    await other.create(createTestKeyRecord());
    await pass(clock, 1_000);
    expect(store.generation()).not.toBe(before);
  });

  test("a read of a changed key changes the generation, so that the reader trusts nothing older", async () => {
    const clock = createVirtualClock();
    const [store, other] = [await open(connect(), clock), await open(connect(), clock)];
    const record = createTestKeyRecord();
    await store.create(record);
    await other.update(record.id, (current) => revokeKey(current, 9));
    const before = store.generation();
    expect((await store.find(record.id))?.revokedAt).toBe(9);
    expect(store.generation()).not.toBe(before);
  });

  test("no change is lost when many writers change one key", async () => {
    const clock = createVirtualClock();
    const first = await open(connect(), clock);
    const views = [first, ...(await Promise.all(Array.from({ length: 3 }, () => open(connect(), clock))))];
    const record = createTestKeyRecord({ description: "" });
    await first.create(record);
    const append = (store: ValkeyKeyStore) =>
      store.update(record.id, (current) => ({ ...current, description: `${current.description}x` }));
    await Promise.all(views.flatMap((store) => Array.from({ length: 10 }, () => append(store))));
    expect((await first.find(record.id))?.description).toBe("x".repeat(40));
  });

  test("all uses are stored even if they do not fit into one script call", async () => {
    const store = await open(connect(), createVirtualClock());
    const records = Array.from({ length: 1_001 }, () => createTestKeyRecord());
    for (const record of records) await store.create(record);
    await store.recordUse(records.map(({ id }) => ({ id, usedAt: 7 })));
    expect((await store.lastUses()).size).toBe(1_001);
  });

  test("all keys in Valkey have one prefix and are in one hash slot", async () => {
    const connection = connect();
    const store = await open(connection, createVirtualClock());
    const record = createTestKeyRecord();
    await store.create(record);
    await store.recordUse([{ id: record.id, usedAt: 1 }]);
    const names = (await connection.command(["KEYS", "*"])) as readonly string[];
    expect(names.toSorted()).toEqual(["records", "stamp", "uses"].map((name) => `{letta-environments:keys}:${name}`));
  });

  test("a closed store stops polling and leaves no timer", async () => {
    const clock = createVirtualClock();
    const connection = connect();
    const store = await openValkeyKeyStore(connection, clock);
    const { asked } = connection;
    store.close();
    await pass(clock, 5_000);
    expect([connection.asked, clock.timerCount]).toEqual([asked, 0]);
  });
});

test.skipIf(!canLaunchValkey())("every script runs on a cluster node, which refuses keys of two slots", async () => {
  const node = await launchValkey({ args: ["--cluster-enabled", "yes"] });
  const connection = connect(node.url);
  await connection.command(["CLUSTER", "ADDSLOTSRANGE", 0, 16_383]);
  while (!/cluster_state:ok/.test(String(await connection.command(["CLUSTER", "INFO"])))) {
    await new Promise((resolve) => void setTimeout(resolve, 10));
  }
  const store = await openValkeyKeyStore(connection, createVirtualClock());
  const record = createTestKeyRecord();
  await store.create(record);
  await store.update(record.id, (current) => revokeKey(current, 9));
  await store.recordUse([{ id: record.id, usedAt: 7 }]);
  expect([await store.list(), [...(await store.lastUses())]]).toEqual([
    [{ ...record, revokedAt: 9 }],
    [[record.id, 7]],
  ]);
  store.close();
  for (const one of connections.splice(0)) await one.close();
  await node.stop();
});

test.skipIf(!canLaunchValkey())(
  "a Valkey user with only the commands that docs/configuration.md lists is sufficient",
  async () => {
    const commands = "get set hget hset hsetnx hexists hgetall info eval".split(" ").map((name) => `+${name}`);
    const limited = await launchValkey({
      args: ["--user", "gateway", "on", ">pw", "~{letta-environments:keys}:*", ...commands],
    });
    const connection = connect(`valkey://gateway:pw@127.0.0.1:${limited.port}`);
    const store = await openValkeyKeyStore(connection, createVirtualClock());
    const record = createTestKeyRecord();
    await store.create(record);
    await store.update(record.id, (current) => revokeKey(current, 9));
    await store.recordUse([{ id: record.id, usedAt: 7 }]);
    expect([(await store.find(record.id))?.revokedAt, [...(await store.lastUses())]]).toEqual([9, [[record.id, 7]]]);
    store.close();
    for (const one of connections.splice(0)) await one.close();
    await limited.stop();
  },
);

describe.skipIf(!canLaunchValkey())("keys in a failing Valkey", () => {
  let failing: LaunchedValkey;
  let clock: VirtualClock;
  let connection: CountedConnection;
  let store: ValkeyKeyStore;
  const record = createTestKeyRecord();

  beforeEach(async () => {
    failing = await launchValkey();
    clock = createVirtualClock();
    connection = connect(failing.url, 150);
    await connection.command(["PING"], { timeoutMs: 5_000 });
    store = await open(connection, clock);
    await store.create(record);
  });
  afterEach(async () => {
    for (const one of stores.splice(0)) one.close();
    for (const one of connections.splice(0)) await one.close();
    await failing.stop();
  });

  test("a store cannot be opened on a stopped server", async () => {
    await failing.stop();
    await expect(openValkeyKeyStore(connect(failing.url, 100), clock)).rejects.toBeInstanceOf(KeyStoreUnavailableError);
  });

  test.each(["is gone", "hangs"])(
    "every call rejects with KeyStoreUnavailableError when the server %s",
    async (kind) => {
      if (kind === "is gone") await failing.stop();
      else failing.pause();
      const calls = [
        () => store.find(record.id),
        () => store.list(),
        () => store.create(createTestKeyRecord()),
        () => store.update(record.id, (current) => current),
        () => store.recordUse([{ id: record.id, usedAt: 1 }]),
        () => store.lastUses(),
      ];
      for (const call of calls) await expect(call()).rejects.toBeInstanceOf(KeyStoreUnavailableError);
    },
  );

  test("reads stay valid for exactly 60 seconds of an outage", async () => {
    const before = store.generation();
    await pass(clock, 3_000);
    await failing.stop();
    await pass(clock, 60_000);
    expect(store.generation()).toBe(before);
    await clock.advance(1);
    const after = store.generation();
    expect(after).not.toBe(before);
    expect(store.generation()).not.toBe(after);
  });

  test("reads made before a process was suspended are trusted for four seconds only", async () => {
    const suspended = suspendable(clock);
    const thawed = await open(connection, suspended.clock);
    const before = thawed.generation();
    suspended.skip(4_000);
    expect(thawed.generation()).toBe(before);
    suspended.skip(1);
    const after = thawed.generation();
    expect(after).not.toBe(before);
    expect(thawed.generation()).not.toBe(after);
    expect(await thawed.find(record.id)).toEqual(record);
    expect(thawed.generation()).toBe(thawed.generation());
  });

  test("a poll that fails after a suspension does not begin the 60 seconds of an outage", async () => {
    const suspended = suspendable(clock);
    const thawed = await open(connection, suspended.clock);
    failing.pause();
    await clock.advance(1_000);
    suspended.skip(5_000);
    await settle();
    await pass(clock, 3_000);
    expect(thawed.generation()).not.toBe(thawed.generation());
    failing.resume();
    await untilResponding(connection);
    await pass(clock, 1_000);
    expect(thawed.generation()).toBe(thawed.generation());
  });

  test("a process that is suspended during an outage trusts nothing when it continues", async () => {
    const suspended = suspendable(clock);
    const thawed = await open(connection, suspended.clock);
    const before = thawed.generation();
    await failing.stop();
    await pass(clock, 10_000);
    expect(thawed.generation()).toBe(before);
    suspended.skip(4_001);
    await pass(clock, 2_000);
    expect(thawed.generation()).not.toBe(thawed.generation());
  });

  test("setting the clock back does not extend the 60 seconds for which reads stay valid", async () => {
    let setBackMs = 0;
    const moved = { ...clock, now: () => clock.now() - setBackMs };
    const onMoved = await openValkeyKeyStore(connection, moved);
    stores.push(onMoved);
    const before = onMoved.generation();
    await failing.stop();
    setBackMs = 3_600_000;
    expect(onMoved.generation()).toBe(before);
    await pass(clock, 60_000);
    expect(onMoved.generation()).toBe(before);
    await clock.advance(1);
    expect(onMoved.generation()).not.toBe(before);
  });

  test("reads stay valid after an outage without a change", async () => {
    const before = store.generation();
    failing.pause();
    await pass(clock, 5_000);
    failing.resume();
    await untilResponding(connection);
    await pass(clock, 60_000);
    await pass(clock, 5_000);
    expect(store.generation()).toBe(before);
    expect(await store.find(record.id)).toEqual(record);
  });

  test("a change during an outage changes the generation when the outage is over", async () => {
    const other = await open(connect(failing.url, 5_000), clock);
    const before = store.generation();
    failing.pause();
    const change = other.update(record.id, (current) => revokeKey(current, 9));
    await clock.advance(1_000);
    expect(store.generation()).toBe(before);
    failing.resume();
    await change;
    await untilResponding(connection);
    await pass(clock, 2_000);
    expect(store.generation()).not.toBe(before);
  });

  test("a server that restarts without its data changes the generation, and its keys are unknown", async () => {
    const before = store.generation();
    await failing.stop();
    await pass(clock, 2_000);
    failing = await launchValkey({ port: failing.port });
    await untilResponding(connection);
    await pass(clock, 2_000);
    expect(store.generation()).not.toBe(before);
    expect(await store.find(record.id)).toBeNull();
  });

  test("a change with an unknown result invalidates earlier reads", async () => {
    const lossy: CountedConnection = {
      ...connection,
      async evaluate(...words) {
        await connection.evaluate(...words);
        throw new ValkeyError("timeout", "the response was lost");
      },
    };
    const late = await open(lossy, clock);
    const before = late.generation();
    const change = late.update(record.id, (current) => revokeKey(current, 9));
    await expect(change).rejects.toBeInstanceOf(KeyStoreUnavailableError);
    expect(late.generation()).not.toBe(before);
    expect((await late.find(record.id))?.revokedAt).toBe(9);
  });
});
