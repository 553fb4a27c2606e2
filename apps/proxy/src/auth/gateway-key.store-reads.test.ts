import { randomBytes } from "node:crypto";
import type { SqliteDatabase } from "@letta-environments/platform";
import { openSqlite, systemClock } from "@letta-environments/platform/node";
import { expect, test } from "vitest";
import { issueTestKey, testDigests, testPepper } from "../../test/support/test-proxy.ts";
import { createMemoryKeyStore } from "../adapters/memory/key-store.ts";
import { createSqliteKeyStore } from "../adapters/sqlite/key-store.ts";
import { createKeyAuthenticator } from "./gateway-key.ts";
import { generateKey, generateKeyId, keyLength } from "../keys/key-format.ts";
import { createExpiryCheck } from "../keys/credential-expiry.ts";

/** A database that notes every statement which reads keys, whatever the store above it does. */
function countingDatabase(): { readonly database: SqliteDatabase; readonly reads: string[] } {
  const database = openSqlite(":memory:");
  const reads: string[] = [];
  return {
    reads,
    database: {
      ...database,
      prepare(sql) {
        const statement = database.prepare(sql);
        const note = (): void => void (/\bFROM\b/i.test(sql) && reads.push(sql));
        return {
          run: (...values) => statement.run(...values),
          get(...values) {
            note();
            return statement.get(...values);
          },
          all(...values) {
            note();
            return statement.all(...values);
          },
        };
      },
    },
  };
}

async function setUp() {
  const { database, reads } = countingDatabase();
  const keyStore = createSqliteKeyStore(database, systemClock);
  const authenticate = createKeyAuthenticator({
    clock: systemClock,
    hasExpired: createExpiryCheck(systemClock),
    digests: testDigests,
    keyStore,
    pepper: testPepper,
    telemetry: () => undefined,
  });
  const { key } = await issueTestKey(keyStore, systemClock);
  reads.length = 0;
  return { authenticate, key, reads };
}

test("a cached key is authenticated 1,000 times synchronously and without a read of the store", async () => {
  const { authenticate, key, reads } = await setUp();
  await authenticate(`Bearer ${key}`);
  expect(reads).not.toHaveLength(0);
  reads.length = 0;
  for (let request = 0; request < 1_000; request++) {
    expect(authenticate(`Bearer ${key}`)).toMatchObject({ kind: "authenticated" });
  }
  expect(reads).toEqual([]);
});

test("10,000 malformed keys are refused synchronously and without a read of the store", async () => {
  const { authenticate, key, reads } = await setUp();
  const random = (): string => generateKey(generateKeyId(randomBytes), randomBytes);
  const other = (character: string): string => (character === "0" ? "1" : "0");
  const malformed: readonly ((index: number) => string)[] = [
    // One character of a good key, or of a well-formed one, is another.
    (index) =>
      key.slice(0, index % keyLength) + other(key.charAt(index % keyLength)) + key.slice((index % keyLength) + 1),
    () => {
      const text = random();
      return text.slice(0, -1) + other(text.slice(-1));
    },
    (index) => random().slice(0, index % keyLength),
    () => `${random()}A`,
    () => randomBytes(40).toString("base64url"),
  ];
  for (let index = 0; index < 10_000; index++) {
    const text = malformed[index % malformed.length]?.(index) ?? "";
    expect(authenticate(`Bearer ${text}`)).toMatchObject({ kind: "refused", response: { status: 401 } });
  }
  expect(reads).toEqual([]);
});

test("each of 15,000 keys in use is authenticated synchronously and without a read of the store, whatever their order", async () => {
  const keyStore = createMemoryKeyStore(15_000);
  let finds = 0;
  const authenticate = createKeyAuthenticator({
    clock: systemClock,
    hasExpired: createExpiryCheck(systemClock),
    digests: testDigests,
    keyStore: {
      ...keyStore,
      find(id) {
        finds += 1;
        return keyStore.find(id);
      },
    },
    pepper: testPepper,
    telemetry: () => undefined,
  });
  const authorizations: string[] = [];
  for (let index = 0; index < 15_000; index++) {
    authorizations.push(`Bearer ${(await issueTestKey(keyStore, systemClock)).key}`);
  }
  for (const authorization of authorizations) await authenticate(authorization);
  const late = authorizations.filter((authorization) => authenticate(authorization) instanceof Promise);
  expect([late.length, finds]).toEqual([0, 15_000]);
}, 60_000);
