import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Clock } from "@letta-environments/platform";
import { openSqlite } from "@letta-environments/platform/node";
import { connectValkey } from "@letta-environments/platform/valkey";
import { canLaunchValkey, createVirtualClock, launchValkey, type VirtualClock } from "@letta-environments/testkit";
import { afterEach, expect, test } from "vitest";
import { countPending } from "../../test/support/count-pending.ts";
import { issueTestKey, testDigests, testPepper } from "../../test/support/test-proxy.ts";
import { createSqliteKeyStore } from "../adapters/sqlite/key-store.ts";
import { openValkeyKeyStore } from "../adapters/valkey/key-store.ts";
import { revokeKey } from "../keys/key-lifecycle.ts";
import { KeyStoreUnavailableError } from "../keys/key-store-outages.ts";
import type { KeyStore } from "../ports.ts";
import { createKeyAuthenticator } from "./gateway-key.ts";
import { createExpiryCheck } from "../keys/credential-expiry.ts";

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

/** A store of a running gateway and one of a command, on the same keys. */
interface TwoViews {
  readonly running: KeyStore;
  readonly command: KeyStore;
  settle(): Promise<void>;
}

function onSqlite(clock: VirtualClock): TwoViews {
  const folder = mkdtempSync(join(tmpdir(), "revocation-"));
  closers.push(() => rmSync(folder, { recursive: true }));
  const open = (): KeyStore => {
    const database = openSqlite(join(folder, "proxy.sqlite"));
    closers.push(() => database.close());
    return createSqliteKeyStore(database, clock);
  };
  return { running: open(), command: open(), settle: () => Promise.resolve() };
}

async function onValkey(
  clock: VirtualClock,
  runningClock: Clock = clock,
): Promise<TwoViews & { takeAway(): Promise<void> }> {
  const server = await launchValkey();
  closers.push(() => server.stop());
  const open = async (storeClock: Clock) => {
    const valkey = countPending(connectValkey(server.url, { timeoutMs: 5_000, onFailure: () => undefined }));
    closers.push(() => valkey.close());
    const store = await openValkeyKeyStore(valkey, storeClock);
    closers.push(() => store.close());
    return { store, valkey };
  };
  const running = await open(runningClock);
  return {
    running: running.store,
    command: (await open(clock)).store,
    settle: () => running.valkey.settle(),
    takeAway: () => server.stop(),
  };
}

/** The result for a cached key, at once and `boundMs` after another process has revoked it. */
async function kindsAround(
  { running, command, settle }: TwoViews,
  clock: VirtualClock,
  boundMs: number,
): Promise<readonly string[]> {
  const { key, record } = await issueTestKey(command, clock);
  const ask = createKeyAuthenticator({
    clock,
    hasExpired: createExpiryCheck(clock),
    digests: testDigests,
    keyStore: running,
    pepper: testPepper,
    telemetry: () => undefined,
  });
  const kindOf = async (): Promise<string> => (await ask(`Bearer ${key}`)).kind;
  const before = [await kindOf(), await kindOf()];
  await command.update(record.id, (current) => revokeKey(current, clock.now()));
  await clock.advance(boundMs);
  await settle();
  return [...before, await kindOf()];
}

const warmThenRefused = ["authenticated", "authenticated", "refused"];

test("a cached key that another process revokes is refused within 100 ms on SQLite", async () => {
  const clock = createVirtualClock();
  expect(await kindsAround(onSqlite(clock), clock, 100)).toEqual(warmThenRefused);
});

test.skipIf(!canLaunchValkey())(
  "a cached key that another gateway revokes is refused within 5 s on Valkey",
  async () => {
    const clock = createVirtualClock();
    expect(await kindsAround(await onValkey(clock), clock, 5_000)).toEqual(warmThenRefused);
  },
);

test.skipIf(!canLaunchValkey())(
  "a cached key that is revoked while the process is suspended is refused by the first request that follows",
  async () => {
    const clock = createVirtualClock();
    let suspendedMs = 0;
    const view = await onValkey(clock, { ...clock, monotonic: () => clock.monotonic() + suspendedMs });
    const { key, record } = await issueTestKey(view.command, clock);
    const ask = createKeyAuthenticator({
      clock,
      hasExpired: createExpiryCheck(clock),
      digests: testDigests,
      keyStore: view.running,
      pepper: testPepper,
      telemetry: () => undefined,
    });
    for (let request = 0; request < 2; request++) {
      expect((await ask(`Bearer ${key}`)).kind).toBe("authenticated");
    }
    await view.command.update(record.id, (current) => revokeKey(current, clock.now()));
    // No timer runs in a process that its host does not let run between requests.
    suspendedMs = 5_000;
    expect((await ask(`Bearer ${key}`)).kind).toBe("refused");
  },
);

test.skipIf(!canLaunchValkey())(
  "a cached key is accepted for 60 seconds of an outage of Valkey, and not afterwards",
  async () => {
    const clock = createVirtualClock();
    const { running, settle, takeAway } = await onValkey(clock);
    const { key } = await issueTestKey(running, clock);
    const ask = createKeyAuthenticator({
      clock,
      hasExpired: createExpiryCheck(clock),
      digests: testDigests,
      keyStore: running,
      pepper: testPepper,
      telemetry: () => undefined,
    });
    await ask(`Bearer ${key}`);
    await takeAway();
    for (let second = 0; second < 60; second++) {
      await clock.advance(1_000);
      await settle();
    }
    expect((await ask(`Bearer ${key}`)).kind).toBe("authenticated");
    await clock.advance(1);
    for (let request = 0; request < 3; request++) {
      await expect(ask(`Bearer ${key}`)).rejects.toBeInstanceOf(KeyStoreUnavailableError);
    }
  },
);
