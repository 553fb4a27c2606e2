import type { Authentication } from "./authentication.ts";
import { randomBytes } from "node:crypto";
import { openSqlite } from "@letta-environments/platform/node";
import { createVirtualClock } from "@letta-environments/testkit";
import { describe, expect, test } from "vitest";
import { issueTestKey, problemOf, testDigests, testMint, testPepper } from "../../test/support/test-proxy.ts";
import { createSqliteKeyStore } from "../adapters/sqlite/key-store.ts";
import { mintSecret, patchKey, revokeKey, rotateKey } from "../keys/key-lifecycle.ts";
import type { KeyRateLimits } from "../keys/key-rate-limit.ts";
import type { KeyStore } from "../ports.ts";
import { createKeyAuthenticator } from "./gateway-key.ts";
import { generateKey, generateKeyId } from "../keys/key-format.ts";
import type { ProxyEvent } from "../telemetry.ts";
import type { GatewayPrincipal } from "./authentication.ts";
import { createExpiryCheck } from "../keys/credential-expiry.ts";

function setUp() {
  const clock = createVirtualClock();
  const store = createSqliteKeyStore(openSqlite(":memory:"), clock);
  const found: string[] = [];
  const keyStore: KeyStore = {
    ...store,
    find(id) {
      found.push(id);
      return store.find(id);
    },
  };
  const events: ProxyEvent[] = [];
  const uses: string[] = [];
  const telemetry = (event: ProxyEvent): void => void events.push(event);
  const authenticate = createKeyAuthenticator({
    clock,
    hasExpired: createExpiryCheck(clock),
    digests: testDigests,
    keyStore,
    pepper: testPepper,
    noteKeyUse: (keyId) => void uses.push(keyId),
    telemetry,
  });
  return {
    clock,
    store,
    found,
    events,
    uses,
    authenticate,
    present: async (key: string) => authenticate(`Bearer ${key}`),
  };
}

function codeOf(authentication: Authentication): string | undefined {
  return authentication.kind === "refused" ? problemOf(authentication.response).errorCode : undefined;
}

/** The principal of a key that must be good. */
async function principalOf(authentication: Promise<Authentication>): Promise<GatewayPrincipal> {
  const result = await authentication;
  if (result.kind === "refused") throw new Error("the key was refused");
  return result.principal;
}

test("an invitation that no device has used is refused once it has ended", async () => {
  const { store, clock, present } = setUp();
  const invite = { expiresAt: clock.now() + 1_000 };
  const { key } = await issueTestKey(store, clock, { scopes: ["connect"], invite });
  expect(codeOf(await present(key))).toBeUndefined();
  await clock.advance(1_000);
  expect(codeOf(await present(key))).toBe("invalid_key");
});

describe("valid keys", () => {
  test("each use of a key is noted and its expiry is checked each time, however often it was used before", async () => {
    const { store, clock, present, uses } = setUp();
    const { key, record } = await issueTestKey(store, clock, { expiresAt: clock.now() + 1_000 });
    for (let use = 1; use <= 4; use++) {
      expect(codeOf(await present(key))).toBeUndefined();
      expect(uses).toEqual(Array.from({ length: use }, () => record.id));
    }
    await clock.advance(1_000);
    expect(codeOf(await present(key))).toBe("invalid_key");
    expect(uses.length).toBe(4);
  });

  test("a valid key authenticates as the principal of its record", async () => {
    const { store, clock, present } = setUp();
    const { key, record } = await issueTestKey(store, clock, {
      tenant: "t1",
      scopes: ["send"],
      deviceIds: ["d1"],
      shared: true,
    });
    expect(await present(key)).toEqual({
      kind: "authenticated",
      principal: {
        tenant: "t1",
        keyId: record.id,
        credentialId: record.secrets[0]?.digest.slice(0, 16),
        owner: "test",
        scopes: new Set(["send"]),
        deviceIds: ["d1"],
        connectionNames: null,
        agentIds: null,
        maxMode: null,
        shared: true,
      },
    });
  });

  test("a valid key is looked up once and then authenticated synchronously", async () => {
    const { store, clock, found, authenticate, present } = setUp();
    const { key } = await issueTestKey(store, clock);
    await present(key);
    expect(authenticate(`Bearer ${key}`)).toMatchObject({ kind: "authenticated" });
    expect(found).toHaveLength(1);
  });

  test("a cached key is refused after its expiry", async () => {
    const { store, clock, present } = setUp();
    const { key } = await issueTestKey(store, clock, { expiresAt: clock.now() + 1_000 });
    await clock.advance(999);
    expect(codeOf(await present(key))).toBeUndefined();
    await clock.advance(1);
    expect(codeOf(await present(key))).toBe("invalid_key");
  });

  test("a cached key is refused after its revocation", async () => {
    const { store, clock, present } = setUp();
    const { key, record } = await issueTestKey(store, clock);
    expect(codeOf(await present(key))).toBeUndefined();
    await store.update(record.id, (current) => revokeKey(current, clock.now()));
    expect(codeOf(await present(key))).toBe("invalid_key");
  });

  test("a key and its rotated form are both valid until the overlap ends", async () => {
    const { store, clock, present } = setUp();
    const { key, record } = await issueTestKey(store, clock);
    const rotated = mintSecret(record.id, clock.now(), testMint);
    await store.update(record.id, (current) => rotateKey(current, rotated.secret, clock.now(), 60_000));
    const [old, newer] = [await principalOf(present(key)), await principalOf(present(rotated.key))];
    const endsAt = { credentialId: old.credentialId, keyExpiresAt: clock.now() + 60_000 };
    expect(old).toEqual({ ...newer, ...endsAt });
    expect(old.credentialId).not.toBe(newer.credentialId);
    await clock.advance(60_000);
    expect(codeOf(await present(key))).toBe("invalid_key");
    expect(codeOf(await present(rotated.key))).toBeUndefined();
  });
});

describe("invalid keys", () => {
  test("a malformed key is refused without a read of the store", async () => {
    const { found, present, authenticate } = setUp();
    expect(codeOf(await present("lek_nonsense"))).toBe("invalid_key");
    expect(codeOf(await authenticate(null))).toBe("missing_key");
    expect(found).toEqual([]);
  });

  test("credentials of another scheme count as missing: the challenge names no error of a token", async () => {
    const { found, authenticate } = setUp();
    expect(await authenticate("Basic eDp5")).toMatchObject({
      response: { status: 401, headers: { "www-authenticate": 'Bearer realm="letta-environments"' } },
      reason: "credentials_malformed",
    });
    expect(found).toEqual([]);
  });

  test("a key that requires an unsupported feature is 401, and the log names the feature", async () => {
    const { store, clock, events, present } = setUp();
    const { key, record } = await issueTestKey(store, clock);
    expect(codeOf(await present(key))).toBeUndefined();
    await store.update(record.id, (current) => ({ ...current, requires: ["from-the-future"] }));
    expect(codeOf(await present(key))).toBe("invalid_key");
    expect(codeOf(await present(key))).toBe("invalid_key");
    expect(events).toEqual([{ type: "key_unsupported", keyId: record.id, features: ["from-the-future"] }]);
    expect(codeOf(await present(generateKey(record.id, randomBytes)))).toBe("invalid_key");
    expect(events).toHaveLength(1);
  });

  test("a key with a rate limit that cannot be read is 401 until the limit is changed", async () => {
    const { store, clock, events, present } = setUp();
    const { key, record } = await issueTestKey(store, clock);
    const limit = async (rateLimits: KeyRateLimits): Promise<void> => {
      await store.update(record.id, (current) => patchKey(current, { rateLimits }, clock.now()));
    };
    await limit({ "gateway-sends": "10/1m", "gateway-requests": "2/1y" });
    expect(codeOf(await present(key))).toBe("invalid_key");
    expect(events).toEqual([{ type: "key_unsupported", keyId: record.id, features: ["2/1y"] }]);
    await limit({ "gateway-requests": "2/1w" });
    expect(codeOf(await present(key))).toBeUndefined();
  });

  test("an unknown key is looked up once in five seconds, and accepted as soon as it exists", async () => {
    const { store, clock, found, present } = setUp();
    const key = generateKey(generateKeyId(randomBytes), randomBytes);
    await present(key);
    expect(codeOf(await present(key))).toBe("invalid_key");
    expect(found).toHaveLength(1);
    await clock.advance(5_000);
    await present(key);
    expect(found).toHaveLength(2);
    await issueTestKey(store, clock);
    await present(key);
    expect(found).toHaveLength(3);
  });

  test("a key with the id of a valid one and another secret is refused", async () => {
    const { store, clock, present } = setUp();
    const { record } = await issueTestKey(store, clock);
    expect(codeOf(await present(generateKey(record.id, randomBytes)))).toBe("invalid_key");
  });

  test("a key hashed with another pepper is refused", async () => {
    const { store, clock } = setUp();
    const { key } = await issueTestKey(store, clock);
    const pepper = { id: "pepper-2", secret: new Uint8Array(32).fill(8) };
    const authenticate = createKeyAuthenticator({
      clock,
      hasExpired: createExpiryCheck(clock),
      digests: testDigests,
      keyStore: store,
      pepper,
      telemetry: () => undefined,
    });
    expect(codeOf(await authenticate(`Bearer ${key}`))).toBe("invalid_key");
  });

  test("the response to an invalid key never gives the reason", async () => {
    const { present } = setUp();
    const refused = await present(generateKey(generateKeyId(randomBytes), randomBytes));
    expect(refused).toMatchObject({
      kind: "refused",
      response: {
        status: 401,
        headers: {
          "www-authenticate": 'Bearer realm="letta-environments", error="invalid_token"',
          "x-should-retry": "false",
        },
      },
    });
  });
});

test("a lookup that began before a revocation does not overwrite the revocation", async () => {
  const { store, clock } = setUp();
  const { key, record } = await issueTestKey(store, clock);
  let release = (): void => undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  const slow: KeyStore = {
    ...store,
    async find(id) {
      const read = await store.find(id);
      await held;
      return read;
    },
  };
  const authenticate = createKeyAuthenticator({
    clock,
    hasExpired: createExpiryCheck(clock),
    digests: testDigests,
    keyStore: slow,
    pepper: testPepper,
    telemetry: () => undefined,
  });
  const first = authenticate(`Bearer ${key}`);
  await store.update(record.id, (current) => revokeKey(current, clock.now()));
  release();
  await first;
  expect(codeOf(await authenticate(`Bearer ${key}`))).toBe("invalid_key");
});

test("a key that was read before its revocation is not cached, even if another request has detected the change", async () => {
  const clock = createVirtualClock();
  const store = createSqliteKeyStore(openSqlite(":memory:"), clock);
  let respond = (): void => undefined;
  const keyStore: KeyStore = {
    ...store,
    async find(id) {
      const record = await store.find(id);
      await new Promise<void>((resolve) => {
        respond = resolve;
      });
      return record;
    },
  };
  const hasExpired = createExpiryCheck(clock);
  const ports = { clock, digests: testDigests, hasExpired, keyStore, pepper: testPepper, telemetry: () => undefined };
  const authenticate = createKeyAuthenticator(ports);
  const { key, record } = await issueTestKey(store, clock);
  const before = authenticate(`Bearer ${key}`);
  await clock.advance(50);
  await store.update(record.id, (present) => revokeKey(present, clock.now()));
  await clock.advance(50);
  // Another request notices the change while the first one still waits for its record.
  expect(authenticate(`Bearer ${generateKey(generateKeyId(randomBytes), randomBytes)}`, true)).toMatchObject({
    kind: "refused",
  });
  respond();
  await before;
  expect(authenticate(`Bearer ${key}`, true)).toMatchObject({ kind: "refused" });
});
