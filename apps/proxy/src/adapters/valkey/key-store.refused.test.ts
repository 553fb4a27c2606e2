/** Changes of keys that a running server refuses. */
import type { ValkeyConnection } from "@letta-environments/platform";
import { connectValkey } from "@letta-environments/platform/valkey";
import {
  canLaunchValkey,
  createVirtualClock,
  type LaunchedValkey,
  launchValkey,
  type LaunchValkeyOptions,
} from "@letta-environments/testkit";
import { afterEach, describe, expect, test } from "vitest";
import { createTestKeyRecord } from "../../../test/support/create-test-key-record.ts";
import { revokeKey } from "../../keys/key-lifecycle.ts";
import type { KeyRecord } from "../../keys/key-record.ts";
import { openValkeyKeyStore, type ValkeyKeyStore } from "./key-store.ts";

const ends: (() => unknown)[] = [];
const revoke = (record: KeyRecord): KeyRecord => revokeKey(record, 9);
const refused = { name: "KeyStoreUnavailableError", isRefused: true };

afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

function connect(server: LaunchedValkey): ValkeyConnection {
  const connection = connectValkey(server.url, { timeoutMs: 5_000, onFailure: () => undefined });
  ends.push(() => connection.close());
  return connection;
}

async function open(connection: ValkeyConnection): Promise<ValkeyKeyStore> {
  const store = await openValkeyKeyStore(connection, createVirtualClock());
  ends.push(() => store.close());
  return store;
}

/** A server with one key, and two gateways on it. */
async function setUp(options: LaunchValkeyOptions = {}) {
  const server = await launchValkey(options);
  ends.push(() => server.stop());
  const connection = connect(server);
  const [store, other] = [await open(connection), await open(connect(server))];
  const record = createTestKeyRecord();
  await store.create(record);
  await other.find(record.id);
  return { connection, store, other, record };
}

describe.skipIf(!canLaunchValkey())("changes of keys that Valkey refuses", () => {
  test("a key is revoked although the server has reached maxmemory, and other gateways notice it", async () => {
    const { connection, store, other, record } = await setUp();
    await connection.command(["CONFIG", "SET", "maxmemory", 1]);
    const before = other.generation();
    expect(await store.update(record.id, revoke)).toMatchObject({ revokedAt: 9 });
    expect(await other.find(record.id)).toMatchObject({ revokedAt: 9 });
    expect(other.generation()).not.toBe(before);
  });

  test("a server that has reached maxmemory creates no key, and says so", async () => {
    const { connection, store, record } = await setUp();
    await connection.command(["CONFIG", "SET", "maxmemory", 1]);
    const before = store.generation();
    await expect(store.create(createTestKeyRecord())).rejects.toMatchObject(refused);
    expect(await store.list()).toEqual([record]);
    expect(store.generation()).toBe(before);
  });

  test("without the right to DEL, a server that has reached maxmemory refuses a revocation, and says so", async () => {
    const { connection, store, other, record } = await setUp({
      args: ["--user", "default", "on", "nopass", "~*", "+@all", "-del"],
    });
    await connection.command(["CONFIG", "SET", "maxmemory", 1]);
    await expect(store.update(record.id, revoke)).rejects.toMatchObject(refused);
    expect(await other.find(record.id)).toEqual(record);
    await connection.command(["CONFIG", "SET", "maxmemory", 0]);
    expect(await store.update(record.id, revoke)).toMatchObject({ revokedAt: 9 });
  });

  test("a primary that has become a replica makes no change, and says so", async () => {
    const { connection, store, record } = await setUp();
    await connection.command(["REPLICAOF", "127.0.0.1", 1]);
    await expect(store.update(record.id, revoke)).rejects.toMatchObject(refused);
  });

  test("a change that fails in the middle may have been made", async () => {
    const { connection, store, other, record } = await setUp();
    await connection.command(["ACL", "SETUSER", "default", "-set"]);
    const change = store.update(record.id, revoke);
    await expect(change).rejects.toMatchObject({ name: "KeyStoreUnavailableError", isRefused: false });
    expect(await other.find(record.id)).toMatchObject({ revokedAt: 9 });
  });
});
