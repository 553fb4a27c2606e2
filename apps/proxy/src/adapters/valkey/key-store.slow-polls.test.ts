/** The trust in keys that were read before, around polls that are slow, late or fail. */
import { type Clock, ValkeyError, type ValkeyConnection, type ValkeyReply } from "@letta-environments/platform";
import { createVirtualClock } from "@letta-environments/testkit";
import { describe, expect, test } from "vitest";
import { openValkeyKeyStore } from "./key-store.ts";

const timeoutMs = 2_000;

/** Opens a store on a server that replies with one stamp after `replyMs`, or, while that is `null`, never. */
async function setUp() {
  const clock = createVirtualClock();
  const server: { replyMs: number | null } = { replyMs: 0 };
  let lateMs = 0;
  let suspendedMs = 0;
  /** The clock of the process, whose timers may be late, and which continues after a suspension as if no time had passed. */
  const own: Clock = {
    ...clock,
    monotonic: () => clock.monotonic() + suspendedMs,
    setTimer: (delayMs, run) => clock.setTimer(delayMs + lateMs, run),
  };
  const valkey: ValkeyConnection = {
    command: () =>
      new Promise<ValkeyReply>((resolve, reject) => {
        const { replyMs } = server;
        if (replyMs === 0) resolve("stamp");
        else if (replyMs === null) own.setTimer(timeoutMs, () => reject(new ValkeyError("timeout", "no reply")));
        else clock.setTimer(replyMs, () => resolve("stamp"));
      }),
    evaluate: () => Promise.resolve(null),
    close: () => Promise.resolve(),
  };
  const store = await openValkeyKeyStore(valkey, own);
  return {
    clock,
    server,
    store,
    delayTimers: (delayMs: number) => void (lateMs = delayMs),
    suspend: (durationMs: number) => void (suspendedMs += durationMs),
    /** Whether a request in each 50 ms would have found the keys trusted. */
    async isTrustedFor(durationMs: number): Promise<boolean> {
      const before = store.generation();
      for (let passedMs = 0; passedMs < durationMs; passedMs += 50) {
        await clock.advance(50);
        if (store.generation() !== before) return false;
      }
      return true;
    },
  };
}

describe("reads of keys when an outage of Valkey begins", () => {
  test.each([0, 800, 1_100, 1_500, 2_000])(
    "reads of keys stay valid at the start of an outage after a poll that took %i ms",
    async (replyMs) => {
      const { clock, server, isTrustedFor } = await setUp();
      server.replyMs = replyMs;
      await clock.advance(1_000 + replyMs);
      server.replyMs = null;
      expect(await isTrustedFor(58_000 - replyMs)).toBe(true);
    },
  );

  test("reads of keys stay valid at the start of an outage while each timer of the process is more than a second late", async () => {
    const { clock, server, isTrustedFor, delayTimers } = await setUp();
    await clock.advance(1_000);
    server.replyMs = null;
    await clock.advance(4_000);
    delayTimers(1_200);
    expect(await isTrustedFor(55_000)).toBe(true);
  });
});

describe("unfinished polls", () => {
  test("an unfinished poll does not extend trust in reads beyond five seconds after the last response", async () => {
    const { clock, server, store, suspend } = await setUp();
    const before = store.generation();
    server.replyMs = null;
    for (const suspendedMs of [1_900, 1_900, 1_199]) {
      suspend(suspendedMs);
      await clock.advance(0);
      void store.find("id").catch(() => undefined);
    }
    expect(store.generation()).toBe(before);
    suspend(2);
    expect(store.generation()).not.toBe(before);
  });

  test("an unfinished poll does not extend trust in reads beyond four seconds after a quick response, if the process is then suspended", async () => {
    const { clock, server, store, suspend } = await setUp();
    server.replyMs = null;
    await clock.advance(1_000);
    suspend(3_001);
    expect(store.generation()).not.toBe(store.generation());
  });

  test("an unfinished poll does not renew trust in reads after the process was suspended", async () => {
    const { clock, store, suspend, server } = await setUp();
    server.replyMs = 500;
    suspend(4_001);
    await clock.advance(1_000);
    const before = store.generation();
    expect(store.generation()).not.toBe(before);
    await clock.advance(500);
    expect(store.generation()).toBe(store.generation());
  });
});
