/** Reservations that reach the server after their gateway has given up, because they were still on their way when a connection was lost. */
import type { ValkeyConnection } from "@letta-environments/platform";
import { systemClock } from "@letta-environments/platform/node";
import { connectValkey } from "@letta-environments/platform/valkey";
import {
  canLaunchValkey,
  createHoldingProxy,
  type HoldingProxy,
  type LaunchedValkey,
  launchValkey,
} from "@letta-environments/testkit";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { testReservation, testResult, testScope } from "../../../test/support/test-reservation.ts";
import { createTestSender } from "../../../test/support/test-sender.ts";
import { createSends, type Sends } from "../../idempotency/sends.ts";
import { type IdempotencyStore, IdempotencyUnavailableError } from "../../idempotency/store.ts";
import { createValkeyIdempotencyStore } from "./idempotency-store.ts";

describe.runIf(canLaunchValkey())("reservations that arrive late", () => {
  let server: LaunchedValkey;
  let direct: ValkeyConnection;
  const ends: (() => Promise<unknown>)[] = [];

  beforeAll(async () => {
    server = await launchValkey();
    direct = connectValkey(server.url, { timeoutMs: 5_000, onFailure: () => undefined });
  });
  afterAll(async () => {
    await direct.close();
    await server.stop();
  });
  afterEach(async () => {
    for (const end of ends.splice(0).toReversed()) await end();
    await direct.command(["FLUSHALL"]);
  });

  /** The stores of two gateways. The connection of the first leads through the proxy, and the server knows the scripts. */
  async function setUp(): Promise<{ proxy: HoldingProxy; first: IdempotencyStore; second: IdempotencyStore }> {
    const proxy = await createHoldingProxy(server.port);
    ends.push(() => proxy.close());
    const held = connectValkey(`valkey://127.0.0.1:${proxy.port}`, { timeoutMs: 5_000, onFailure: () => undefined });
    ends.push(() => held.close());
    const stores = { first: createValkeyIdempotencyStore(held), second: createValkeyIdempotencyStore(direct) };
    for (const store of Object.values(stores)) await store.reserve(testReservation(["another"]));
    return { proxy, ...stores };
  }

  test("a reservation that arrives after its release reserves nothing, and the ids stay free", async () => {
    const { proxy, first, second } = await setUp();
    const given = testReservation(["a", "b"]);
    proxy.hold(given.sendId);
    await expect(first.reserve(given)).rejects.toBeInstanceOf(IdempotencyUnavailableError);
    await first.release(given);
    await proxy.deliver();
    expect(await second.find(testScope, ["a", "b"])).toEqual([]);
    expect(await second.reserve(testReservation(["b", "a"]))).toEqual({ kind: "reserved" });
  });

  test("a reservation that arrives before its release is released", async () => {
    const { proxy, first, second } = await setUp();
    const given = testReservation(["a", "b"]);
    proxy.hold(given.sendId);
    await expect(first.reserve(given)).rejects.toBeInstanceOf(IdempotencyUnavailableError);
    await proxy.deliver();
    expect(await second.find(testScope, ["a", "b"])).toMatchObject([{ id: "a" }, { id: "b" }]);
    await first.release(given);
    expect(await second.find(testScope, ["a", "b"])).toEqual([]);
  });

  test("a reservation that arrives late takes no id of a repeat that was sent, whether or not it was released", async () => {
    const { proxy, first, second } = await setUp();
    for (const [id, releases] of [
      ["a", true],
      ["b", false],
    ] as const) {
      const [given, repeat] = [testReservation([id, "c"]), testReservation([id])];
      await first.find(testScope, [id]);
      proxy.hold(given.sendId);
      await expect(first.reserve(given)).rejects.toBeInstanceOf(IdempotencyUnavailableError);
      if (releases) await first.release(given);
      expect(await second.reserve(repeat)).toEqual({ kind: "reserved" });
      await proxy.deliver();
      await second.settle(repeat, testResult(id));
      await first.release(given);
      expect(await second.find(testScope, [id, "c"])).toMatchObject([
        { id, sendId: repeat.sendId, state: { kind: "finished", result: testResult(id) } },
      ]);
    }
  });

  test("the mark of a released send expires after 24 hours", async () => {
    const { second } = await setUp();
    const given = testReservation(["a"]);
    await second.release(given);
    const ttl = Number(await direct.command(["PTTL", `{letta-proxy:"default"}:send:released:"${given.sendId}"`]));
    expect(ttl).toBeGreaterThan(86_390_000);
    expect(ttl).toBeLessThanOrEqual(86_401_000);
  });

  test("a send that delivered nothing can be repeated at another gateway, however late its reservation arrives", async () => {
    const { proxy, first, second } = await setUp();
    const work: Promise<unknown>[] = [];
    const gateway = (store: IdempotencyStore): Sends =>
      createSends({
        store,
        clock: systemClock,
        background: (given) => void work.push(given),
        onFailure: () => undefined,
      });
    const [slow, other, sender] = [gateway(first), gateway(second), createTestSender(systemClock)];
    proxy.hold("given up");
    expect(await sender.send(slow, "given up")).toMatchObject({ kind: "responded", response: { status: 503 } });
    await Promise.all(work);
    await proxy.deliver();
    expect(await sender.send(other, "repeat")).toMatchObject({ kind: "responded", response: { status: 200 } });
    expect(await sender.send(slow, "another repeat")).toMatchObject({ kind: "replayed", response: { status: 200 } });
    expect(sender.transmissions()).toBe(1);
  });
});
