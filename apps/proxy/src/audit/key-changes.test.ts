import { expect, test } from "vitest";
import { createTestKeyRecord } from "../../test/support/create-test-key-record.ts";
import { createTestAudit } from "../../test/support/test-audit.ts";
import { createMemoryKeyStore } from "../adapters/memory/key-store.ts";
import { disableKey, enableKey, revokeKey, rotateKey } from "../keys/key-lifecycle.ts";
import type { KeyActor } from "../keys/key-record.ts";
import { addSession, maxSessions, sessionMs } from "../keys/sign-in.ts";
import { KeyStoreUnavailableError } from "../keys/key-store-outages.ts";
import type { KeyRecord } from "../keys/key-record.ts";
import type { KeyStore } from "../ports.ts";
import type { AuditEntry } from "./entry.ts";
import { auditKeyStore, describeKeyChange } from "./key-changes.ts";
import type { AuditLog } from "./log.ts";
import { AuditUnavailableError } from "./store.ts";

const actor: KeyActor = { kind: "command-line", user: "somebody" };
/** Signs in at a time. Sessions that have ended by then are dropped. */
const signIn = (digest: string, at: number) => (record: KeyRecord) =>
  addSession(record, { digest, pepperId: "p", createdAt: at, expiresAt: null }, at);
const full = (record: KeyRecord): KeyRecord =>
  Array.from({ length: maxSessions }, (_, index) => `s${index}`).reduce((next, id) => signIn(id, 8)(next), record);
const secret = { digest: "d2", pepperId: "p", createdAt: 5, expiresAt: null };

async function setUp(): Promise<{ store: KeyStore; plain: KeyStore; entries: () => Promise<AuditEntry[]> }> {
  const audit = createTestAudit();
  const log = await audit.openWriter("writer-1");
  const plain = createMemoryKeyStore();
  const failures: unknown[] = [];
  const store = auditKeyStore(plain, log, actor, (cause) => void failures.push(cause));
  return { store, plain, entries: async () => (await audit.entries()).slice(1) };
}

test("a change is audited before it is made, and its result with the changed members but no secret", async () => {
  const { store, entries } = await setUp();
  const record = createTestKeyRecord({ name: "ci" });
  await store.create(record);
  await store.update(record.id, (current) => revokeKey(current, 9));
  const { secrets, ...members } = record;
  expect(await entries()).toMatchObject([
    { type: "key_change_started", actor, keyId: record.id },
    { type: "key_changed", actor, keyId: record.id, tenant: record.tenant, act: "created", members },
    { type: "key_change_started", actor, keyId: record.id },
    { type: "key_changed", act: "revoked", members: { revokedAt: 9 } },
  ]);
  for (const { digest } of secrets) expect(JSON.stringify(await entries())).not.toContain(digest);
});

test("a change that was not made is recorded as abandoned", async () => {
  const { store, entries } = await setUp();
  const record = createTestKeyRecord();
  await store.create(record);
  expect(await store.update("unknown", (current) => current)).toBeNull();
  await expect(store.create(record)).rejects.toBeInstanceOf(Error);
  const refused = store.update(record.id, () => {
    throw new Error("no");
  });
  await expect(refused).rejects.toThrow("no");
  expect((await entries()).map(({ type }) => type)).toEqual([
    "key_change_started",
    "key_changed",
    ...Array.from({ length: 3 }, () => ["key_change_started", "key_change_abandoned"]).flat(),
  ]);
});

test("disabling a key is recorded as such, although it also ends sessions and links", () => {
  const record = createTestKeyRecord();
  const link = { ...record, secrets: [{ ...secret, use: "link" as const }] };
  for (const before of [record, full(record), link])
    expect(describeKeyChange({ before, after: disableKey(before, 9) }).act).toBe("disabled");
});

test("a change that changes nothing is not recorded", async () => {
  const { store, entries } = await setUp();
  const record = createTestKeyRecord();
  await store.create(record);
  const before = await entries();
  expect(await store.update(record.id, (current) => enableKey({ ...current, name: record.name }))).toEqual(record);
  expect(await entries()).toEqual(before);
});

test("a change that cannot be audited is not made, one whose result cannot be audited is not undone, and both are reported", async () => {
  const plain = createMemoryKeyStore();
  let left = 0;
  const audit: AuditLog = {
    append: () => (left-- > 0 ? Promise.resolve() : Promise.reject(new AuditUnavailableError("disk full"))),
  };
  const failures: unknown[] = [];
  const store = auditKeyStore(plain, audit, actor, (cause) => void failures.push(cause));
  const record = createTestKeyRecord();
  await expect(store.create(record)).rejects.toBeInstanceOf(AuditUnavailableError);
  expect([await plain.list(), failures.length]).toEqual([[], 1]);
  left = 1;
  await store.create(record);
  expect([await plain.find(record.id), failures.length]).toEqual([record, 2]);
});

test("a change whose response from the store is lost is recorded as unknown, with the attempted members", async () => {
  const audit = createTestAudit();
  const plain = createMemoryKeyStore();
  const silent: KeyStore = {
    ...plain,
    create: () => Promise.reject(new KeyStoreUnavailableError()),
    async update(id, change) {
      await plain.update(id, change);
      throw new KeyStoreUnavailableError();
    },
  };
  const store = auditKeyStore(silent, await audit.openWriter("writer-1"), actor, () => undefined);
  const record = createTestKeyRecord({ name: "ghost" });
  await expect(store.create(record)).rejects.toBeInstanceOf(KeyStoreUnavailableError);
  await plain.create(record);
  await expect(store.update(record.id, (current) => revokeKey(current, 9))).rejects.toBeInstanceOf(Error);
  expect((await audit.entries()).filter(({ type }) => type === "key_change_unknown")).toMatchObject([
    { keyId: record.id, act: "created", members: { name: "ghost" } },
    { keyId: record.id, act: "revoked", members: { revokedAt: 9 } },
  ]);
});

test.each<[string, (record: KeyRecord) => KeyRecord, (record: KeyRecord) => KeyRecord]>([
  ["revoked", (record) => record, (record) => revokeKey(record, 9)],
  ["disabled", (record) => record, (record) => disableKey(record, 9)],
  ["enabled", (record) => disableKey(record, 8), enableKey],
  ["rotated", (record) => record, (record) => rotateKey(record, secret, 9, 0)],
  ["signed_in", (record) => record, signIn("s1", 9)],
  ["signed_in", signIn("s1", 8), signIn("s2", 8 + sessionMs)],
  ["signed_in", (record) => signIn("s2", 8)(signIn("s1", 8)(record)), signIn("s3", 8 + sessionMs)],
  ["signed_in", full, signIn("further", 9)],
  ["signed_out", signIn("s1", 8), (record) => ({ ...record, secrets: record.secrets.slice(0, 1) })],
  ["updated", (record) => record, (record) => ({ ...record, description: "new" })],
  ["updated", (record) => record, (record) => record],
])("a change is recorded as %s", (act, before, change) => {
  const record = before(createTestKeyRecord());
  expect(describeKeyChange({ before: record, after: change(record) }).act).toBe(act);
});
