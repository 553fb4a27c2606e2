import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Clock, ValkeyConnection } from "@letta-environments/platform";
import { connectValkey } from "@letta-environments/platform/valkey";
import {
  canLaunchValkey,
  type LaunchedValkey,
  launchValkey,
  type LaunchValkeyOptions,
} from "@letta-environments/testkit";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { describeIdempotencyStore } from "../../../test/idempotency-store-contract.ts";
import { settlesWithin } from "../../../test/support/settles-within.ts";
import { testReservation, testResult, testScope } from "../../../test/support/test-reservation.ts";
import { type IdempotencyStore, IdempotencyUnavailableError } from "../../idempotency/store.ts";
import { assertDurableValkey } from "./server-info.ts";
import { createValkeyIdempotencyStore } from "./idempotency-store.ts";

describe.runIf(canLaunchValkey())("the idempotency store with a server", () => {
  let server: LaunchedValkey;
  let shared: ValkeyConnection;
  let prefixes = 0;
  const ends: (() => Promise<unknown>)[] = [];

  function connect(url: string, timeoutMs: number = 5_000): ValkeyConnection {
    const connection = connectValkey(url, { timeoutMs, onFailure: () => undefined });
    ends.push(() => connection.close());
    return connection;
  }

  async function launch(options: LaunchValkeyOptions): Promise<LaunchedValkey> {
    const launched = await launchValkey(options);
    ends.push(() => launched.stop());
    return launched;
  }

  async function newFolder(): Promise<string> {
    const directory = await mkdtemp(join(tmpdir(), "sends-"));
    ends.push(() => rm(directory, { recursive: true }));
    return directory;
  }

  beforeAll(async () => {
    server = await launchValkey();
    shared = connectValkey(server.url, { timeoutMs: 5_000, onFailure: () => undefined });
  });
  afterAll(async () => {
    await shared.close();
    await server.stop();
  });
  afterEach(async () => {
    for (const end of ends.splice(0).toReversed()) await end();
  });

  function open(clock?: Clock): IdempotencyStore {
    return createValkeyIdempotencyStore(shared, {
      prefix: `test-${prefixes++}`,
      ...(clock !== undefined && { clock }),
    });
  }

  describeIdempotencyStore("in Valkey", { time: "wall", countsIds: false, runs: 60 }, (clock) => {
    const prefix = `test-${prefixes++}`;
    const connectAgain = (): IdempotencyStore => createValkeyIdempotencyStore(shared, { prefix, clock });
    return { store: connectAgain(), connect: connectAgain };
  });

  async function everyTtl(prefix: string): Promise<readonly number[]> {
    const keys = await shared.command(["KEYS", `{${prefix}*`]);
    return Promise.all(
      (Array.isArray(keys) ? keys : []).map(async (key) => Number(await shared.command(["PTTL", String(key)]))),
    );
  }

  test("the store uses the server's clock, and every key expires a second after it stops having an effect", async () => {
    const store = open();
    const reservation = testReservation(["a", "b"]);
    await store.reserve(reservation);
    await store.settle(reservation, testResult("a"));
    const ttls = await everyTtl(`test-${prefixes - 1}`);
    expect(ttls).toHaveLength(4);
    for (const ttl of ttls) {
      expect(ttl).toBeGreaterThan(86_390_000);
      expect(ttl).toBeLessThanOrEqual(86_401_000);
    }
    const short = testReservation(["c"], { leaseMs: 1 });
    await store.reserve(short);
    await expect
      .poll(async () => store.find(testScope, ["c"]))
      .toMatchObject([{ sendId: short.sendId, state: { kind: "unknown" } }]);
  });

  test("a server without memory reserves nothing, keeps everything, and accepts sends again when it has memory", async () => {
    const node = await launch({});
    const connection = connect(node.url);
    const store = createValkeyIdempotencyStore(connection);
    const [finished, running] = [testReservation(["a"]), testReservation(["b"])];
    for (const reservation of [finished, running]) await store.reserve(reservation);
    await store.settle(finished, testResult("a"));
    await connection.command(["CONFIG", "SET", "maxmemory", 1]);
    expect(await store.reserve(testReservation(["c", "d"]))).toEqual({ kind: "full" });
    expect(await store.reserve(testReservation(["a"]))).toMatchObject({ kind: "known", entries: [{ id: "a" }] });
    expect(await store.find(testScope, ["a", "b", "c", "d"])).toMatchObject([
      { id: "a", state: { kind: "finished" } },
      { id: "b", state: { kind: "in_progress" } },
    ]);
    await expect(store.settle(running, testResult("b"))).rejects.toBeInstanceOf(IdempotencyUnavailableError);
    await store.release(running);
    await connection.command(["CONFIG", "SET", "maxmemory", 0]);
    expect(await store.reserve(testReservation(["b", "c"]))).toEqual({ kind: "reserved" });
  });

  test("ids, results and connections survive a server that is killed", async () => {
    const directory = await newFolder();
    const first = await launchValkey({ directory });
    const connection = connect(first.url);
    await assertDurableValkey(connection);
    const store = createValkeyIdempotencyStore(connection);
    const [finished, running] = [testReservation(["a"]), testReservation(["b"])];
    for (const reservation of [finished, running]) await store.reserve(reservation);
    await store.settle(finished, testResult("a"));
    await first.stop();
    const second = await launch({ directory });
    const restarted = createValkeyIdempotencyStore(connect(second.url));
    expect(await restarted.find(testScope, ["a", "b"])).toMatchObject([
      { id: "a", state: { kind: "finished", result: testResult("a") } },
      { id: "b", state: { kind: "in_progress" } },
    ]);
    expect(await restarted.findConnection("default", "connection-1")).toEqual(finished.connection);
  });

  test("the store rejects in time while the server hangs and after it was killed, and recovers when the server restarts", async () => {
    const node = await launchValkey();
    const store = createValkeyIdempotencyStore(connect(node.url, 500));
    const reservation = testReservation(["a"]);
    await store.reserve(reservation);

    async function expectFailures(): Promise<void> {
      const calls = [
        () => store.reserve(testReservation(["b"])),
        () => store.find(testScope, ["a"]),
        () => store.settle(reservation, testResult("a")),
        () => store.release(reservation),
        () => store.findConnection("default", "connection-1"),
      ];
      const rejected = Promise.all(
        calls.map((call) => expect(call()).rejects.toMatchObject({ name: "IdempotencyUnavailableError" })),
      );
      expect(await settlesWithin(rejected, 1_500)).toBe(true);
      await rejected;
    }

    node.pause();
    await expectFailures();
    await node.stop();
    await expectFailures();
    const successor = await launch({ port: node.port });
    expect(successor.port).toBe(node.port);
    await expect
      .poll(() => store.reserve(testReservation(["new"])).catch(() => null), { timeout: 10_000 })
      .toMatchObject({ kind: "reserved" });
  });

  test("the store rejects if a key contains a value that it did not write", async () => {
    const store = open();
    const key = `{test-${prefixes - 1}:"default"}:send:id:["environment-1","agent-1","conversation-1","a"]`;
    await shared.command(["SET", key, "garbage"]);
    await expect(store.reserve(testReservation(["a"]))).rejects.toBeInstanceOf(IdempotencyUnavailableError);
    await shared.command(["DEL", key]);
    await shared.command(["HSET", key, "at", 9_999_999_999_999]);
    await expect(store.reserve(testReservation(["a"]))).rejects.toBeInstanceOf(IdempotencyUnavailableError);
  });

  test("the store works on a cluster, because all keys of a tenant are in one slot", async () => {
    const node = await launch({ args: ["--cluster-enabled", "yes"] });
    const connection = connect(node.url);
    await connection.command(["CLUSTER", "ADDSLOTSRANGE", 0, 16_383]);
    await expect.poll(() => connection.command(["CLUSTER", "INFO"]), { timeout: 20_000 }).toContain("cluster_state:ok");
    const store = createValkeyIdempotencyStore(connection);
    for (const tenant of ["default", "a}b", "{", "}"]) {
      const scope = { ...testScope, tenant };
      const reservation = testReservation(["{x}", "{y}", "z"], { scope, connectionId: "{c}" });
      expect(await store.reserve(reservation)).toEqual({ kind: "reserved" });
      await store.settle(reservation, testResult(tenant));
      expect(await store.find(scope, ["z", "{y}"])).toMatchObject([
        { state: { result: testResult(tenant) } },
        { state: { result: testResult(tenant) } },
      ]);
      await store.release(reservation);
    }
  });

  test("the store works where the server refuses SCRIPT and EVALSHA", async () => {
    const node = await launch({ args: ["--user", "default", "on", "nopass", "~*", "+@all", "-script", "-evalsha"] });
    const store = createValkeyIdempotencyStore(connect(node.url));
    expect(await store.reserve(testReservation(["a"]))).toEqual({ kind: "reserved" });
    expect(await store.find(testScope, ["a"])).toHaveLength(1);
  });

  test("the store needs no server command or setting beyond those in docs/configuration.md", async () => {
    const commands = "get set hget hset hsetnx hexists hgetall info eval evalsha time hmget pexpire exists del mget";
    const rules = ["on", "nopass", "~{letta-proxy:*", "-@all", ...commands.split(" ").map((name) => `+${name}`)];
    const node = await launch({ directory: await newFolder(), args: ["--user", "default", ...rules] });
    const connection = connect(node.url);
    await assertDurableValkey(connection);
    const store = createValkeyIdempotencyStore(connection);
    const [finished, released] = [testReservation(["a"]), testReservation(["b"])];
    for (const reservation of [finished, released]) await store.reserve(reservation);
    await store.settle(finished, testResult("a"));
    await store.release(released);
    expect(await store.find(testScope, ["a", "b"])).toMatchObject([{ state: { result: testResult("a") } }]);
    expect(await store.findConnection("default", "connection-1")).toEqual(finished.connection);
  });

  describe("servers for sends", () => {
    test("a server for sends must not evict keys, whatever the policy", async () => {
      const node = await launch({ directory: await newFolder() });
      const connection = connect(node.url);
      for (const policy of ["allkeys-lru", "allkeys-lfu", "allkeys-random", "volatile-lru", "volatile-ttl"]) {
        await connection.command(["CONFIG", "SET", "maxmemory-policy", policy]);
        await expect(assertDurableValkey(connection)).rejects.toMatchObject({
          name: "CommandError",
          message: `the Valkey server has maxmemory-policy ${policy}, so it may forget sends: set 'maxmemory-policy noeviction'`,
        });
      }
      await connection.command(["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
      await assertDurableValkey(connection);
    });

    test("a server for sends must have an append-only file", async () => {
      const node = await launch({ args: ["--maxmemory-policy", "noeviction", "--appendonly", "no"] });
      await expect(assertDurableValkey(connect(node.url))).rejects.toMatchObject({
        name: "CommandError",
        message: expect.stringContaining("set 'appendonly yes'"),
      });
    });

    test("a server for sends must allow its settings to be read", async () => {
      const rules = ["on", "nopass", "~*", "+@all", "-info"];
      const node = await launch({ args: ["--user", "default", ...rules] });
      await expect(assertDurableValkey(connect(node.url))).rejects.toMatchObject({ name: "ValkeyError" });
    });
  });
});
