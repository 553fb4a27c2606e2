import { randomBytes } from "node:crypto";
import process from "node:process";
import type { SqliteDatabase } from "@letta-environments/platform";
import { type KnownEndpoint, matchEndpoint } from "@letta-environments/schema";
import { createSqliteKeyStore } from "../../apps/proxy/src/adapters/sqlite/key-store.ts";
import { type KeyAuthenticator, createKeyAuthenticator } from "../../apps/proxy/src/auth/gateway-key.ts";
import { authoriseEndpoint } from "../../apps/proxy/src/auth/authorise.ts";
import { createExpiryCheck } from "../../apps/proxy/src/keys/credential-expiry.ts";
import { createKey } from "../../apps/proxy/src/keys/key-lifecycle.ts";
import { createKeyUses } from "../../apps/proxy/src/keys/key-uses.ts";
import type { Digests, KeyStore } from "../../apps/proxy/src/ports.ts";
// Not the index, which imports `node:sqlite`: Bun does not have it.
import { constantTimeEqual, hmacSha256Hex, sha256Hex, systemClock } from "../../packages/platform/src/node/index.ts";

/** The runtime's own hashes. */
export const digests: Digests = { sha256: sha256Hex, hmacSha256: hmacSha256Hex, constantTimeEqual };

/** The proxy's own authentication and authorisation, over SQLite in memory, with keys that it knows. */
export interface WarmAuthentication {
  readonly authenticate: KeyAuthenticator;
  readonly keyStore: KeyStore;
  readonly keys: readonly string[];
  /** Whether the bearer of an `Authorization` value may read a device. Throws when it had to wait: then it was not warm. */
  admits(authorization: string): boolean;
}

/** Makes keys that may list and read, and presents each one once. */
export async function createWarmAuthentication(keyCount: number): Promise<WarmAuthentication> {
  const keyStore = createSqliteKeyStore(await openSqlite(), systemClock);
  const pepper = { id: "bench", secret: randomBytes(32) };
  const keyUses = createKeyUses({
    clock: systemClock,
    keyStore,
    onFailure: (cause) => {
      throw cause;
    },
  });
  const authenticate = createKeyAuthenticator({
    clock: systemClock,
    digests,
    hasExpired: createExpiryCheck(systemClock),
    keyStore,
    noteKeyUse: keyUses.note,
    pepper,
    telemetry: () => undefined,
  });
  const keys: string[] = [];
  const mint = { digests, pepper, randomBytes };
  for (let index = 0; index < keyCount; index++) {
    const request = { name: "bench", tenant: "default", scopes: ["list", "read"] as const };
    const { key, record } = createKey(request, systemClock.now(), mint);
    await keyStore.create(record);
    keys.push(key);
  }
  for (const key of keys) await authenticate(`Bearer ${key}`);
  const { endpoint, params } = readDevice();

  return {
    authenticate,
    keyStore,
    keys,
    admits(authorization) {
      const authentication = authenticate(authorization);
      if (authentication instanceof Promise) throw new Error("The key was not warm.");
      if (authentication.kind === "refused") return false;
      return authoriseEndpoint(authentication.principal, endpoint, params) === null;
    },
  };
}

function readDevice(): { readonly endpoint: KnownEndpoint; readonly params: Readonly<Record<string, string>> } {
  const match = matchEndpoint("GET", "/v1/environments/device-1");
  if (match.kind === "refused") throw new Error("The endpoint table has changed.");
  return match;
}

async function openSqlite(): Promise<SqliteDatabase> {
  const { openSqlite: open } =
    "bun" in process.versions
      ? await import("@letta-environments/platform/bun")
      : await import("@letta-environments/platform/node");
  return open(":memory:");
}
