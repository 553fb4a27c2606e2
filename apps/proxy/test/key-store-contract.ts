import type { ConnectedDevice } from "@letta-environments/environment-server";
import type { Clock } from "@letta-environments/platform";
import { createVirtualClock, type VirtualClock } from "@letta-environments/testkit";
import { describe, expect, test } from "vitest";
import { createAcceptInvitation } from "../src/auth/invitations.ts";
import {
  createKey,
  disableKey,
  enableKey,
  mintSecret,
  patchKey,
  revokeKey,
  rotateKey,
} from "../src/keys/key-lifecycle.ts";
import { credentialIdOf, type KeyRecord, KeyRecordDamagedError } from "../src/keys/key-record.ts";
import { watchSocketKeys } from "../src/keys/socket-key-watch.ts";
import type { KeyStore } from "../src/ports.ts";
import { describeKeyList } from "./key-list-contract.ts";
import { createTestKeyRecord as newRecord } from "./support/create-test-key-record.ts";
import { createTestPrincipal } from "./support/create-test-principal.ts";
import { fakeSockets } from "./support/fake-sockets.ts";
import { testMint } from "./support/test-proxy.ts";
import { createExpiryCheck } from "../src/keys/credential-expiry.ts";

/** An empty store, which can be opened several times. */
export interface KeyStoreUnderTest {
  /** Opens the store, as another process would. */
  connect(clock: Clock, onDamaged?: (id: string) => void): Promise<KeyStore>;
  /** Replaces a stored record with a text; absent where records are not stored as text. */
  damage?(id: string, text: string): Promise<void>;
  /** Resolves when every request in flight has its response. */
  settle(): Promise<void>;
}

/** The promises of a store. */
export interface KeyStorePromises {
  /** How soon a change of another process changes the generation, in milliseconds. */
  readonly generationBoundMs: number;
  /** Whether records are stored as text, which can be damaged. */
  readonly storesText: boolean;
}

function newInvitation(expiresAt: number): KeyRecord {
  const request = { name: "n", tenant: "default", scopes: ["connect"], invite: { expiresAt, tags: ["ci"] } } as const;
  return createKey(request, expiresAt - 60_000, testMint).record;
}

/** Texts that are not a record of a key with this id, derived from one that is. */
function damagedTexts(record: KeyRecord): readonly string[] {
  const changes: readonly Readonly<Record<string, unknown>>[] = [
    { secrets: undefined },
    { secrets: [{}] },
    { secrets: [{ ...record.secrets[0], expiresAt: "soon" }] },
    { scopes: undefined },
    { scopes: "list" },
    { tenant: null },
    { revokedAt: false },
    { expiresAt: undefined },
    { deviceIds: [1] },
    { maxMode: "newer" },
    { shared: "no" },
    { rateLimits: { daily: 1 } },
    { requires: "hours" },
    { requires: [1] },
    { id: "abcdefghijkl" },
  ];
  const good = JSON.stringify(record);
  const garbled = good.replace('"pepperId"', 'garbage "pepperId"');
  return [
    "",
    "null",
    "[]",
    "7",
    garbled,
    good.slice(0, -1),
    ...changes.map((change) => JSON.stringify({ ...record, ...change })),
  ];
}

/** Tests the contract of {@link KeyStore}. */
export function describeKeyStore(
  name: string,
  { generationBoundMs, storesText }: KeyStorePromises,
  open: () => KeyStoreUnderTest,
): void {
  interface Views {
    readonly store: KeyStore;
    readonly other: KeyStore;
    readonly clock: VirtualClock;
    settle(): Promise<void>;
    /** Waits for as long as the bound. */
    waitForGeneration(): Promise<void>;
  }

  async function setUp(): Promise<Views> {
    const clock = createVirtualClock();
    const underTest = open();
    const views = { store: await underTest.connect(clock), other: await underTest.connect(clock), clock };
    await underTest.settle();
    const waitForGeneration = async (): Promise<void> => {
      await clock.advance(generationBoundMs);
      await underTest.settle();
    };
    return { ...views, settle: () => underTest.settle(), waitForGeneration };
  }

  describe(`the key store ${name}`, () => {
    test("the store returns a key as it was created, and null for an unknown id", async () => {
      const { store } = await setUp();
      const record = newRecord({ deviceIds: ["d1"], expiresAt: 5, shared: true, name: "naïve ☂ '\"" });
      await store.create(record);
      expect(await store.find(record.id)).toEqual(record);
      expect(await store.find("unknown")).toBeNull();
    });

    test("the store refuses a second key with the same id", async () => {
      const { store } = await setUp();
      const record = newRecord();
      await store.create(record);
      await expect(store.create({ ...record, name: "other" })).rejects.toBeInstanceOf(Error);
      expect(await store.find(record.id)).toEqual(record);
    });

    describeKeyList(async () => (await setUp()).store);

    test("the store changes a key in one step and returns the new record", async () => {
      const { store } = await setUp();
      const record = newRecord();
      await store.create(record);
      const revoked = { ...record, revokedAt: 9 };
      expect(await store.update(record.id, (current) => revokeKey(current, 9))).toEqual(revoked);
      expect(await store.find(record.id)).toEqual(revoked);
      expect(await store.update("unknown", (current) => current)).toBeNull();
    });

    test("the store leaves a key unchanged if the change throws", async () => {
      const { store } = await setUp();
      const record = newRecord();
      await store.create(record);
      const failing = store.update(record.id, () => {
        throw new Error("no");
      });
      await expect(failing).rejects.toThrow("no");
      expect(await store.find(record.id)).toEqual(record);
    });

    test("the store changes the generation immediately with its own change", async () => {
      const { store } = await setUp();
      const before = store.generation();
      const record = newRecord();
      await store.create(record);
      const created = store.generation();
      expect(created).not.toBe(before);
      await store.update(record.id, (current) => revokeKey(current, 9));
      expect(store.generation()).not.toBe(created);
      expect(store.generation()).toBe(store.generation());
    });

    test("a refused change, or one of an unknown key, does not change the generation, so that nobody can force every key to be read again", async () => {
      const { store } = await setUp();
      const record = newRecord();
      await store.create(record);
      const before = store.generation();
      expect(await store.update("unknown", (current) => current)).toBeNull();
      await expect(store.update(record.id, () => expect.unreachable("no"))).rejects.toThrow("no");
      expect(store.generation()).toBe(before);
    });

    test(`the store shows changes of another process, and changes the generation within ${generationBoundMs} ms`, async () => {
      const { store, other, waitForGeneration } = await setUp();
      const before = store.generation();
      const record = newRecord();
      await other.create(record);
      expect(await store.find(record.id)).toEqual(record);
      await waitForGeneration();
      const created = store.generation();
      expect(created).not.toBe(before);
      await other.update(record.id, (current) => revokeKey(current, 9));
      await waitForGeneration();
      expect(store.generation()).not.toBe(created);
    });

    test("the store accepts one of two devices that use an invitation at the same time, through different processes", async () => {
      const { store, other, clock } = await setUp();
      const record = newInvitation(clock.now() + 60_000);
      await store.create(record);
      const principal = createTestPrincipal({
        keyId: record.id,
        tenant: record.tenant,
        ...(record.invite !== null && { invite: record.invite }),
      });
      const ids = Array.from({ length: 8 }, (_, index) => `device-${index}`);
      const outcomes = await Promise.all(
        ids.map(async (deviceId, index) => {
          const keyStore = index % 2 === 0 ? store : other;
          const accept = createAcceptInvitation({ clock, keyStore, findRows: () => Promise.resolve([]) });
          const acceptance = await accept(principal, { deviceId, connectionName: "box" });
          return acceptance.kind === "accepted" && (await acceptance.useInvitation?.()) === null;
        }),
      );
      const accepted = ids.filter((_, index) => outcomes[index] === true);
      expect(accepted).toHaveLength(1);
      expect(await store.find(record.id)).toMatchObject({
        deviceIds: accepted,
        requires: [],
        invite: { usedAt: clock.now(), tags: ["ci"] },
      });
      const again = await createAcceptInvitation({ clock, keyStore: other, findRows: () => Promise.resolve([]) })(
        principal,
        {
          deviceId: accepted[0] ?? "",
          connectionName: "renamed",
        },
      );
      expect(again).toMatchObject({ kind: "accepted", principal: { deviceIds: accepted } });
    });

    test("the store loses no change when two processes change one key at the same time", async () => {
      const { store, other } = await setUp();
      const record = newRecord();
      await store.create(record);
      await Promise.all([
        store.update(record.id, (current) => ({ ...current, description: "changed" })),
        other.update(record.id, (current) => revokeKey(current, 9)),
        store.update(record.id, (current) => ({ ...current, owner: "somebody" })),
      ]);
      expect(await store.find(record.id)).toEqual({
        ...record,
        description: "changed",
        owner: "somebody",
        revokedAt: 9,
      });
    });

    test("the store stores the latest use of each key, for every process, and ignores unknown keys", async () => {
      const { store, other } = await setUp();
      const [used, unused] = [newRecord(), newRecord()];
      for (const record of [used, unused]) await store.create(record);
      expect([...(await store.lastUses())]).toEqual([]);
      await store.recordUse([
        { id: used.id, usedAt: 20 },
        { id: "unknown", usedAt: 30 },
      ]);
      await other.recordUse([{ id: used.id, usedAt: 10 }]);
      expect([...(await other.lastUses())]).toEqual([[used.id, 20]]);
      await store.recordUse([]);
      expect(await store.find(used.id)).toEqual(used);
    });

    test("a change by this version preserves the members that a newer version wrote", async () => {
      const { store, clock } = await setUp();
      const record = newRecord();
      await store.create(record);
      const future = fromTheFuture(record);
      await store.update(record.id, () => future);
      expect(await store.find(record.id)).toEqual(future);
      const newer = mintSecret(record.id, clock.now(), testMint).secret;
      await store.update(record.id, (current) => patchKey(current, { name: "renamed" }, clock.now()));
      await store.update(record.id, (current) => disableKey(current, 7));
      await store.update(record.id, enableKey);
      await store.update(record.id, (current) => rotateKey(current, newer, 8, 1_000));
      await store.update(record.id, (current) => revokeKey(current, 9));
      const [old] = future.secrets;
      const secrets = [newer, { ...old, expiresAt: 1_008 }];
      const changed = { ...future, name: "renamed", revokedAt: 9, secrets };
      expect([await store.find(record.id), await store.list()]).toEqual([changed, [changed]]);
    });

    test("a rotation without an overlap in another process closes the socket of the old secret, and no other one", async () => {
      const { store, other, clock, settle } = await setUp();
      const record = newRecord({ scopes: ["connect"] });
      await store.create(record);
      const newer = mintSecret(record.id, clock.now(), testMint).secret;
      await store.update(record.id, (current) => rotateKey(current, newer, clock.now(), 3_600_000));
      const connected = [...record.secrets, newer].map((secret): ConnectedDevice => ({
        tenant: record.tenant,
        keyId: record.id,
        credentialId: credentialIdOf(secret),
        deviceId: credentialIdOf(secret),
        connectionName: "device",
      }));
      const sockets = fakeSockets(connected);
      const failures: unknown[] = [];
      const onFailure = (cause: unknown): void => void failures.push(cause);
      const reads = new Set<Promise<unknown>>();
      const keyStore: KeyStore = {
        ...store,
        find(id) {
          const read = store.find(id);
          reads.add(read);
          return read;
        },
      };
      const hasExpired = createExpiryCheck(clock);
      const rules = { clock, hasExpired, keyStore, tenants: () => new Map(), tokenSettings: () => null, onFailure };
      await sockets.open(watchSocketKeys(sockets, rules));
      const pass = async (durationMs: number): Promise<void> => {
        for (let passedMs = 0; passedMs < durationMs; passedMs += 50) {
          await clock.advance(50);
          await Promise.all([settle(), ...reads]);
        }
      };
      await pass(200);
      expect(sockets.connectedDevices()).toEqual(connected);
      await other.update(record.id, (current) => ({ ...current, secrets: [newer] }));
      await pass(generationBoundMs + 200);
      expect([sockets.connectedDevices(), failures]).toEqual([connected.slice(1), []]);
      sockets.closeEnded(() => true);
      await pass(100);
    });

    if (storesText) describeDamage(open);

    test("a use does not change the generation, in this or another process", async () => {
      const { store, other, waitForGeneration } = await setUp();
      const record = newRecord();
      await store.create(record);
      // A store without timers trusts nothing after a rest, until it has heard something.
      const generations = async (): Promise<readonly number[]> => {
        await waitForGeneration();
        await Promise.all([store.find(record.id), other.find(record.id)]);
        return [store.generation(), other.generation()];
      };
      const before = await generations();
      await store.recordUse([{ id: record.id, usedAt: 20 }]);
      expect(await generations()).toEqual(before);
    });
  });
}

/** Members that a newer version might write, in the record and in its secret, with a feature that it requires. */
function fromTheFuture(record: KeyRecord): KeyRecord {
  const secrets = record.secrets.map((secret) => ({ ...secret, boundTo: "tpm" }));
  const future = { ...record, secrets, requires: ["hours"], hours: { from: 8, to: 18 } };
  return future;
}

function describeDamage(open: () => KeyStoreUnderTest): void {
  test("a damaged record is not a key, hides no other key, and is reported by its id alone", async () => {
    const underTest = open();
    const reported: string[] = [];
    const store = await underTest.connect(createVirtualClock(), (id) => void reported.push(id));
    const [damaged, good] = [newRecord({}, 1), newRecord({}, 2)];
    for (const record of [damaged, good]) await store.create(record);
    for (const text of damagedTexts(damaged)) {
      await underTest.damage?.(damaged.id, text);
      expect([text, await store.find(damaged.id), await store.list()]).toEqual([text, null, [good]]);
      expect([text, reported.splice(0)]).toEqual([text, [damaged.id, damaged.id]]);
      expect([text, (await store.summarize(5)).live.get(good.tenant)]).toEqual([text, true]);
      reported.splice(0);
    }
  });

  test("a damaged record accepts no change except its revocation, which replaces it", async () => {
    const underTest = open();
    const store = await underTest.connect(createVirtualClock());
    const record = newRecord({}, 1);
    await store.create(record);
    const text = damagedTexts(record).find((one) => one.includes("garbage")) ?? "";
    await underTest.damage?.(record.id, text);
    for (const change of [(one: KeyRecord) => one, (one: KeyRecord) => disableKey(one, 9), enableKey]) {
      const failure = await store.update(record.id, change).catch((cause: unknown) => cause);
      expect(failure).toBeInstanceOf(KeyRecordDamagedError);
      expect(failure).toMatchObject({ keyId: record.id, message: expect.stringContaining(record.id) });
      expect(failure).not.toHaveProperty("cause");
      expect(String(failure)).not.toContain(record.secrets[0]?.digest);
    }
    expect(await store.find(record.id)).toBeNull();
    const revoked = await store.update(record.id, (one) => revokeKey(one, 9));
    expect(revoked).toMatchObject({ id: record.id, revokedAt: 9, scopes: [], secrets: [] });
    expect([await store.find(record.id), await store.list()]).toEqual([revoked, [revoked]]);
  });

  test("a record of an older version, which lacks newer members, is not damaged", async () => {
    const underTest = open();
    const store = await underTest.connect(createVirtualClock());
    const record = newRecord();
    await store.create(record);
    const newer = [
      "description",
      "connectionNames",
      "agentIds",
      "maxMode",
      "setMode",
      "disabledAt",
      "rateLimits",
      "requires",
    ];
    const older = Object.fromEntries(Object.entries(record).filter(([name]) => !newer.includes(name)));
    await underTest.damage?.(record.id, JSON.stringify({ ...older, later: { kept: true } }));
    expect(await store.find(record.id)).toEqual({ ...record, later: { kept: true } });
    await store.update(record.id, (one) => revokeKey(one, 9));
    expect(await store.find(record.id)).toEqual({ ...record, later: { kept: true }, revokedAt: 9 });
  });
}
