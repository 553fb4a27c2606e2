import { join } from "node:path";
import process from "node:process";
import type { Clock, ValkeyConnection } from "@letta-environments/platform";
import { connectValkey } from "@letta-environments/platform/valkey";
import {
  canLaunchValkey,
  type LaunchedValkey,
  type LaunchValkeyOptions,
  launchProcess,
  launchValkey,
} from "@letta-environments/testkit";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { describeRateLimitStore } from "../../../test/rate-limit-store-contract.ts";
import { testCheck } from "../../../test/support/test-check.ts";
import type { RateLimitStore } from "../../rate-limit/store.ts";
import { createValkeyRateLimitStore } from "./rate-limit-store.ts";

const options = { probe: false, leaseId: null };

describe.runIf(canLaunchValkey())("the rate limit store with a server", () => {
  let server: LaunchedValkey;
  let shared: ValkeyConnection;
  let prefixes = 0;
  const ends: (() => Promise<void>)[] = [];

  function connect(url: string): ValkeyConnection {
    const connection = connectValkey(url, { timeoutMs: 5_000, onFailure: () => undefined });
    ends.push(() => connection.close());
    return connection;
  }

  async function launch(launchOptions: LaunchValkeyOptions): Promise<LaunchedValkey> {
    const launched = await launchValkey(launchOptions);
    ends.push(() => launched.stop());
    return launched;
  }

  async function fourSpend(connections: readonly ValkeyConnection[]): Promise<number> {
    const stores = connections.map((connection) => createValkeyRateLimitStore(connection, { prefix: "four" }));
    const check = testCheck({ limit: 10, windowMs: 3_600_000 });
    const outcomes = await Promise.all(
      Array.from({ length: 200 }, async (_, index) => stores[index % 4]?.take([check], options)),
    );
    return outcomes.filter((outcome) => outcome?.admitted === true).length;
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

  function open(clock?: Clock): RateLimitStore {
    return createValkeyRateLimitStore(shared, { prefix: `test-${prefixes++}`, ...(clock !== undefined && { clock }) });
  }

  describeRateLimitStore("in Valkey", { time: "wall", runs: 60 }, open);

  test("four connections that share a server admit exactly 10 of 200 requests under a limit of 10", async () => {
    expect(await fourSpend(Array.from({ length: 4 }, () => connect(server.url)))).toBe(10);
  });

  test("four processes that share a server admit exactly 10 of 200 requests under a limit of 10", async () => {
    const worker = join(import.meta.dirname, "../../../test/support/spend-in-process.ts");
    const processes = Array.from({ length: 4 }, () =>
      launchProcess({ command: process.execPath, args: [worker, server.url, "50"] }),
    );
    for (const each of processes) await each.waitForOutput(/ready/);
    await shared.command(["RPUSH", "go", 1, 1, 1, 1]);
    const matches = await Promise.all(processes.map((each) => each.waitForOutput(/admitted (\d+)/)));
    expect(matches.reduce((sum, match) => sum + Number(match[1]), 0)).toBe(10);
    await Promise.all(processes.map((each) => each.exited));
  });

  test("the store uses the server's clock, and sets an expiry on every key", async () => {
    const store = open();
    const prefix = `{test-${prefixes - 1}}`;
    const checks = [testCheck({ windowMs: 3_600_000 }), testCheck({ name: "leases", unit: "concurrent-requests" })];
    const { decisions } = await store.take(checks, { probe: false, leaseId: "a" });
    expect(decisions).toMatchObject([{ remaining: 9, resetMs: 360_000 }, { remaining: 9 }]);
    const keys = await shared.command(["KEYS", `${prefix}*`]);
    expect(keys).toHaveLength(2);
    const lives = await Promise.all(
      (Array.isArray(keys) ? keys : []).map((key) => shared.command(["PTTL", String(key)])),
    );
    expect(lives.map(Number).every((lifeMs) => lifeMs > 0 && lifeMs <= 361_000)).toBe(true);
  });

  test("a probe writes nothing to the server", async () => {
    const store = open();
    const prefix = `{test-${prefixes - 1}}`;
    await store.take([testCheck(), testCheck({ unit: "concurrent-requests", name: "leases" })], {
      probe: true,
      leaseId: "a",
    });
    expect(await shared.command(["KEYS", `${prefix}*`])).toEqual([]);
  });

  test("the store makes one call to the server for each request, however many policies apply", async () => {
    let calls = 0;
    const counting: ValkeyConnection = {
      command: () => Promise.reject(new Error("unexpected command")),
      evaluate: (...words) => {
        calls += 1;
        return shared.evaluate(...words);
      },
      close: () => Promise.resolve(),
    };
    const store = createValkeyRateLimitStore(counting, { prefix: `test-${prefixes++}` });
    await store.take(
      Array.from({ length: 5 }, (_, index) => testCheck({ name: `policy ${index}` })),
      options,
    );
    expect(calls).toBe(1);
  });

  test("the store rejects if a key contains a value that it did not write", async () => {
    const store = open();
    const key = `{test-${prefixes - 1}}:limit:rate:4:testsomebody`;
    for (const value of ["garbage", "nan"]) {
      await shared.command(["SET", key, value]);
      await expect(Promise.resolve(store.take([testCheck()], options))).rejects.toBeInstanceOf(Error);
    }
    await shared.command(["DEL", key]);
    await shared.command(["LPUSH", key, "1"]);
    await expect(Promise.resolve(store.take([testCheck()], options))).rejects.toThrow("refused");
  });

  test("the store works on a cluster, because all keys of a request are in one slot", async () => {
    const node = await launch({ args: ["--cluster-enabled", "yes"] });
    const connection = connect(node.url);
    await connection.command(["CLUSTER", "ADDSLOTSRANGE", 0, 16_383]);
    await expect.poll(() => connection.command(["CLUSTER", "INFO"]), { timeout: 20_000 }).toContain("cluster_state:ok");
    const store = createValkeyRateLimitStore(connection);
    const checks = [
      testCheck(),
      testCheck({ name: "other {x}" }, "{y}"),
      testCheck({ name: "leases", unit: "concurrent-requests" }),
    ];
    expect(await store.take(checks, { probe: false, leaseId: "a" })).toMatchObject({ admitted: true });
    await expect(connection.command(["MGET", "a", "b"])).rejects.toThrow("refused");
  });

  test("the store works where the server refuses SCRIPT and EVALSHA", async () => {
    const rules = ["on", "nopass", "~*", "+@all", "-script", "-evalsha"];
    const node = await launch({ args: ["--user", "default", ...rules] });
    expect(await fourSpend(Array.from({ length: 4 }, () => connect(node.url)))).toBe(10);
  });
});
