import { createHash } from "node:crypto";
import { exportJWK, generateKeyPair } from "jose";
import type { Authentication } from "./authentication.ts";
import { createVirtualClock } from "@letta-environments/testkit";
import { describe, expect, test } from "vitest";
import { createTestIssuer, testJwtSettings, type TokenOverrides } from "../../test/support/test-issuer.ts";
import { problemOf, testDigests } from "../../test/support/test-proxy.ts";
import type { JwtSettings } from "./jwt-settings.ts";
import type { ProxyEvent } from "../telemetry.ts";
import { createTokenAuthenticator, looksLikeJwt } from "./jwt.ts";
import { createExpiryCheck } from "../keys/credential-expiry.ts";

async function setUp(settings: Partial<JwtSettings> = {}, keyId?: Parameters<typeof createTestIssuer>[0]) {
  const clock = createVirtualClock();
  const issuer = await createTestIssuer(keyId);
  const events: ProxyEvent[] = [];
  const authenticate = createTokenAuthenticator(
    {
      clock,
      hasExpired: createExpiryCheck(clock),
      digests: testDigests,
      telemetry: (event) => void events.push(event),
      fetchJwks: (url, signal) => issuer.fetchJwks(url, signal),
    },
    { ...testJwtSettings, ...settings },
  );
  const sign = (overrides?: TokenOverrides): Promise<string> => issuer.sign(clock.now(), overrides);
  return { clock, issuer, events, authenticate, sign };
}

function codeOf(authentication: Authentication): string {
  return authentication.kind === "refused" ? problemOf(authentication.response).errorCode : "authenticated";
}

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}

describe("valid tokens", () => {
  test("a valid token is verified once and then accepted synchronously until it expires", async () => {
    const { authenticate, sign, clock, issuer } = await setUp();
    const token = await sign({ claims: { exp: Math.floor(clock.now() / 1_000) + 60 } });
    expect(await authenticate(token)).toMatchObject({ principal: { tenant: "t1", owner: "user-1" } });
    expect(authenticate(token)).toMatchObject({ kind: "authenticated" });
    expect(issuer.fetchCount).toBe(1);
    await clock.advance(64_999);
    expect(authenticate(token)).toMatchObject({ kind: "authenticated" });
    await clock.advance(1);
    expect(codeOf(await authenticate(token))).toBe("invalid_key");
    expect(codeOf(await authenticate(token))).toBe("invalid_key");
  });

  test("a renewed token has the same key id, and a token of another subject has another one", async () => {
    const { authenticate, sign } = await setUp();
    const ids = [];
    for (const claims of [{ jti: "a" }, { jti: "b" }, { sub: "user-2" }]) {
      const authentication = await authenticate(await sign({ claims }));
      ids.push(authentication.kind === "authenticated" ? authentication.principal.keyId : "");
    }
    expect(ids[0]).toMatch(/^jwt:[0-9a-f]{32}$/);
    expect(ids[1]).toBe(ids[0]);
    expect(ids[2]).not.toBe(ids[0]);
  });

  test.each([
    ["an audience among several", { claims: { aud: ["other", "gateway"] } }],
    ["a type with its full media type", { header: { typ: "application/at+jwt" } }],
    ["a clock that is 4 s off", { claims: { nbf: 1_800_000_004 } }],
  ])("a valid token may have %s", async (_what, overrides) => {
    const { authenticate, sign } = await setUp();
    expect(codeOf(await authenticate(await sign(overrides)))).toBe("authenticated");
  });
});

describe("invalid tokens", () => {
  test.each<readonly [string, TokenOverrides]>([
    ["expired", { claims: { exp: 1_799_999_990 } }],
    ["not yet valid", { claims: { nbf: 1_800_000_010 } }],
    ["without an expiry", { claims: { exp: undefined } as never }],
    ["with an expiry that is not a number", { claims: { exp: "9999999999" } as never }],
    ["of another issuer", { claims: { iss: "https://issuer.example/" } }],
    ["for another audience", { claims: { aud: "other" } }],
    ["without an audience", { claims: { aud: undefined } as never }],
    ["of another type", { header: { typ: "JWT" } }],
    ["without a type", { header: { typ: undefined } as never }],
    ["with an unknown key id", { header: { kid: "other" } }],
    ["without a tenant", { claims: { org: undefined } }],
    ["with a tenant that is not a valid id", { claims: { org: "../x" } }],
    ["with the tenant of a caller's own key", { claims: { org: "passthrough:0" } }],
    ["without a subject", { claims: { sub: undefined } as never }],
    ["with malformed scopes", { claims: { scope: { list: true } } }],
  ])("a token %s is 401 invalid_key", async (_what, overrides) => {
    const { authenticate, sign } = await setUp();
    const authentication = await authenticate(await sign(overrides));
    expect(codeOf(authentication)).toBe("invalid_key");
    expect(authentication).toMatchObject({
      response: { status: 401, headers: { "www-authenticate": expect.stringContaining('error="invalid_token"') } },
    });
  });

  test("a token with alg none, HMAC over the public key, a changed claim or a foreign signature is refused", async () => {
    const { authenticate, sign, issuer, events } = await setUp();
    const [header = "", payload = "", signature = ""] = (await sign()).split(".");
    const claims: unknown = JSON.parse(Buffer.from(payload, "base64url").toString());
    const publicKey = JSON.stringify(issuer.publicKey());
    const forgedHead = `${encode({ alg: "HS256", kid: "key-0", typ: "at+jwt" })}.${payload}`;
    const forged = Buffer.from(testDigests.hmacSha256(new TextEncoder().encode(publicKey), forgedHead), "hex");
    const other = await createTestIssuer();
    for (const token of [
      `${encode({ alg: "none", kid: "key-0", typ: "at+jwt" })}.${payload}.`,
      `${forgedHead}.${forged.toString("base64url")}`,
      `${header}.${encode({ ...(claims as object), org: "t2" })}.${signature}`,
      await other.sign(1_800_000_000_000),
      await other.sign(1_800_000_000_000, { header: { jwk: other.publicKey(), jku: "https://evil.example" } as never }),
      `${header}.${payload}.`,
      "eyJ.eyJ.x",
    ]) {
      const authentication = await authenticate(token);
      expect(codeOf(authentication)).toBe("invalid_key");
      expect(JSON.stringify([authentication, events])).not.toContain(payload);
    }
  });

  test("a token over the size limit is refused without being parsed", async () => {
    const { authenticate, sign, issuer } = await setUp({ maxTokenBytes: 400 });
    const token = await sign({ claims: { padding: "x".repeat(400) } });
    expect(codeOf(await authenticate(token))).toBe("invalid_key");
    expect(issuer.fetchCount).toBe(0);
  });

  test("a token with an algorithm that is not configured is refused", async () => {
    const { authenticate, sign } = await setUp({ algorithms: ["RS256"] });
    expect(codeOf(await authenticate(await sign()))).toBe("invalid_key");
  });
});

test.each([
  ['{"alg":"ES256"}', true],
  ['{ "alg":"ES256"}', true],
  ['{\n  "alg": "ES256"\n}', true],
  ["{\t}", true],
  ["[1]", false],
  ['"text"', false],
])("a credential with the header %j counts as a JWT: %j, whatever whitespace it contains", (header, isToken) => {
  expect(looksLikeJwt(`${Buffer.from(header).toString("base64url")}.e30.c2ln`)).toBe(isToken);
});

describe("the issuer's keys", () => {
  test("the issuer's keys are fetched at most once per cooldown, however many unknown key ids arrive", async () => {
    const { authenticate, sign, issuer, clock } = await setUp();
    const flood = async (): Promise<void> => {
      const tokens = await Promise.all(
        Array.from({ length: 50 }, (_, index) => sign({ header: { kid: `x${index}` } })),
      );
      for (const authentication of await Promise.all(tokens.map(async (token) => authenticate(token))))
        expect(codeOf(authentication)).toBe("invalid_key");
    };
    await flood();
    expect(issuer.fetchCount).toBe(1);
    await clock.advance(30_000);
    await flood();
    expect(issuer.fetchCount).toBe(2);
  });

  test("after a rotation of the issuer's keys and the cooldown, a token of the new key is accepted and one of the old key is refused", async () => {
    const { authenticate, sign, issuer, clock } = await setUp();
    const old = await sign();
    expect(codeOf(await authenticate(old))).toBe("authenticated");
    await issuer.rotate();
    const fresh = await sign();
    await clock.advance(30_000);
    expect(codeOf(await authenticate(fresh))).toBe("authenticated");
    expect(codeOf(await authenticate(old))).toBe("invalid_key");
  });

  test("old keys of the issuer are refreshed in the background, and tokens of a removed key are refused", async () => {
    const { authenticate, sign, issuer, clock } = await setUp();
    const token = await sign();
    await authenticate(token);
    await issuer.rotate();
    await clock.advance(600_000);
    expect(codeOf(await authenticate(token))).toBe("authenticated");
    await clock.advance(0);
    expect(issuer.fetchCount).toBe(2);
    expect(codeOf(await authenticate(token))).toBe("invalid_key");
  });

  test("the issuer's keys are used for a day while the issuer is unavailable, then tokens are 503 with Retry-After", async () => {
    const { authenticate, sign, issuer, clock, events } = await setUp();
    await authenticate(await sign());
    issuer.isDown = true;
    await clock.advance(86_399_000);
    expect(codeOf(await authenticate(await sign()))).toBe("authenticated");
    await clock.advance(1_000);
    const authentication = await authenticate(await sign());
    expect(authentication).toMatchObject({
      response: { status: 503, headers: { "retry-after": "29", "x-should-retry": "true" } },
    });
    expect(codeOf(authentication)).toBe("issuer_unavailable");
    expect(events).toMatchObject([{ type: "jwks_failed" }]);
    issuer.isDown = false;
    await clock.advance(30_000);
    expect(codeOf(await authenticate(await sign()))).toBe("authenticated");
  });

  test("after a rotation, tokens of the new key are 503 with Retry-After while the issuer is unavailable, then they are accepted", async () => {
    const { authenticate, sign, issuer, clock } = await setUp();
    const old = await sign();
    await authenticate(old);
    await clock.advance(30_000);
    await issuer.rotate();
    issuer.isDown = true;
    const fresh = await sign();
    const [first, second] = [await authenticate(fresh), await authenticate(fresh)];
    expect([codeOf(first), codeOf(second)]).toEqual(["issuer_unavailable", "issuer_unavailable"]);
    await clock.advance(10_000);
    const third = await authenticate(fresh);
    expect(third).toMatchObject({ response: { status: 503, headers: { "retry-after": "20" } } });
    expect(codeOf(await authenticate(old))).toBe("authenticated");
    issuer.isDown = false;
    await clock.advance(20_000);
    expect(codeOf(await authenticate(fresh))).toBe("authenticated");
  });

  test("an unknown key id is 401 after a reload and during the following cooldown, where it does not count as a wrong guess", async () => {
    const { authenticate, sign, issuer, clock } = await setUp();
    const unknown = await sign({ header: { kid: "other" } });
    const counted = { kind: "refused", response: { status: 401 }, reason: "token_key_unknown" };
    const [first, second] = [await authenticate(unknown), await authenticate(unknown)];
    expect(first).toMatchObject(counted);
    expect(first).not.toHaveProperty("isUncounted");
    expect(second).toMatchObject({ ...counted, isUncounted: true });
    await clock.advance(30_000);
    const third = await authenticate(unknown);
    expect(third).toMatchObject(counted);
    expect(third).not.toHaveProperty("isUncounted");
    expect(issuer.fetchCount).toBe(2);
  });

  test.each([
    ["gives its keys no ids", () => null],
    ["reuses the id of the old key", () => "key"],
  ])("after a rotation by an issuer that %s, and the cooldown, its tokens are accepted", async (_what, keyId) => {
    const { authenticate, sign, issuer, clock } = await setUp({}, keyId);
    const old = await sign();
    expect(codeOf(await authenticate(old))).toBe("authenticated");
    await issuer.rotate();
    const fresh = await sign();
    const early = await authenticate(fresh);
    expect(early).toMatchObject({ response: { status: 401 }, reason: "token_signature", isUncounted: true });
    await clock.advance(30_000);
    expect(codeOf(await authenticate(fresh))).toBe("authenticated");
    expect(issuer.fetchCount).toBe(2);
    const refused = await authenticate(old);
    expect(refused).toMatchObject({ response: { status: 401 }, reason: "token_signature", isUncounted: true });
    await clock.advance(30_000);
    expect(await authenticate(old)).not.toHaveProperty("isUncounted");
    expect(issuer.fetchCount).toBe(3);
    issuer.isDown = true;
    await clock.advance(30_000);
    expect(await authenticate(old)).toMatchObject({ response: { status: 401 }, isUncounted: true });
  });

  test("a token without a key id is verified with each key that fits it, of at most four, and with newer keys after the cooldown", async () => {
    const { authenticate, sign, issuer, clock } = await setUp({}, () => null);
    const tokens = [await sign()];
    for (let count = 1; count < 4; count++) {
      issuer.extraKeys.unshift(issuer.publicKey());
      await issuer.rotate();
      tokens.push(await sign());
    }
    for (const token of tokens) expect(codeOf(await authenticate(token))).toBe("authenticated");
    issuer.extraKeys.unshift(issuer.publicKey());
    await issuer.rotate();
    await clock.advance(30_000);
    expect(codeOf(await authenticate(await sign()))).toBe("authenticated");
    const [oldest = ""] = tokens;
    const refused = { response: { status: 401 }, reason: "token_key_ambiguous" };
    expect(await authenticate(oldest)).toMatchObject(refused);
    issuer.extraKeys.unshift(issuer.publicKey());
    await issuer.rotate();
    expect(await authenticate(await sign())).toMatchObject({ ...refused, isUncounted: true });
    const foreign = await authenticate(await sign({ claims: { iss: "https://elsewhere.example" } }));
    expect(foreign).not.toHaveProperty("isUncounted");
    await clock.advance(30_000);
    expect(codeOf(await authenticate(await sign()))).toBe("authenticated");
  });

  test("a wrong signature of a token of another issuer causes no read of the keys", async () => {
    const { authenticate, sign, issuer, clock } = await setUp();
    await authenticate(await sign());
    await clock.advance(30_000);
    const [head = "", payload = ""] = (await sign({ claims: { iss: "https://elsewhere.example" } })).split(".");
    const [, , signature = ""] = (await sign()).split(".");
    const refused = await authenticate(`${head}.${payload}.${signature}`);
    expect(refused).toMatchObject({ response: { status: 401 }, reason: "token_signature" });
    expect(refused).not.toHaveProperty("isUncounted");
    expect(issuer.fetchCount).toBe(1);
  });

  test("a token of another issuer is 401 and causes no read of the keys, even while the issuer is unavailable", async () => {
    const { authenticate, sign, issuer, clock } = await setUp();
    await authenticate(await sign());
    await clock.advance(30_000);
    issuer.isDown = true;
    const foreign = await sign({ claims: { iss: "https://elsewhere.example" }, header: { kid: "other" } });
    const [head = "", , signature = ""] = foreign.split(".");
    for (const token of [foreign, `${head}.e.${signature}`, `${head}.e30.${signature}`]) {
      const refused = await authenticate(token);
      expect(refused).toMatchObject({ response: { status: 401 }, reason: "token_issuer" });
      expect(refused).not.toHaveProperty("isUncounted");
    }
    expect(issuer.fetchCount).toBe(1);
  });

  test("a key that the gateway cannot read, and keys beyond the first hundred, are ignored, and the log says so", async () => {
    const { authenticate, sign, issuer, events } = await setUp();
    const others = Array.from({ length: 97 }, (_, index) => ({ ...issuer.publicKey(), kid: `other-${index}` }));
    issuer.extraKeys.push({ kid: "no-type" } as never, "text" as never, ...others, { kty: "EC", kid: "beyond" });
    expect(codeOf(await authenticate(await sign()))).toBe("authenticated");
    expect(events).toMatchObject([
      { type: "jwks_key_refused", kid: "no-type" },
      { type: "jwks_key_refused", kid: null },
      { type: "jwks_key_refused", kid: "beyond" },
    ]);
  });

  test("a read of the issuer's keys that was cancelled and never ends counts as failed after its timeout, and the next one succeeds", async () => {
    const clock = createVirtualClock();
    const issuer = await createTestIssuer();
    let isCancelled = true;
    const authenticate = createTokenAuthenticator(
      {
        // Workers also drop the timers of a request that they cancel.
        clock: { ...clock, setTimer: (ms, run) => (isCancelled ? () => undefined : clock.setTimer(ms, run)) },
        hasExpired: createExpiryCheck(clock),
        digests: testDigests,
        telemetry: () => undefined,
        fetchJwks: (url, signal) => (isCancelled ? new Promise(() => undefined) : issuer.fetchJwks(url, signal)),
      },
      testJwtSettings,
    );
    const token = await issuer.sign(clock.now());
    void authenticate(token);
    await clock.advance(5_001);
    isCancelled = false;
    expect(codeOf(await authenticate(token))).toBe("issuer_unavailable");
    await clock.advance(25_000);
    expect(codeOf(await authenticate(token))).toBe("authenticated");
  });

  test("a request for the issuer's keys times out", async () => {
    const clock = createVirtualClock();
    const aborted: boolean[] = [];
    const authenticate = createTokenAuthenticator(
      {
        clock,
        hasExpired: createExpiryCheck(clock),
        digests: testDigests,
        telemetry: () => undefined,
        fetchJwks: (_url, signal) =>
          new Promise((_resolve, reject) => {
            signal.addEventListener("abort", () => {
              aborted.push(true);
              reject(new Error("aborted"));
            });
          }),
      },
      testJwtSettings,
    );
    const issuer = await createTestIssuer();
    const authentication = authenticate(await issuer.sign(clock.now()));
    await clock.advance(5_000);
    expect(codeOf(await authentication)).toBe("issuer_unavailable");
    expect(aborted).toEqual([true]);
  });
});

test("a token that was signed with an RSA key of exponent 1 is refused although the key is in the JWKS, and the log names the key", async () => {
  const { publicKey } = await generateKeyPair("RS256", { extractable: true });
  const weak = { ...(await exportJWK(publicKey)), e: "AQ", kid: "weak", alg: "RS256" };
  const { authenticate, issuer, clock, events } = await setUp({ algorithms: ["RS256", "ES256"] });
  const good = await issuer.sign(clock.now());
  issuer.extraKeys.push(weak);
  const token = `${encode({ alg: "RS256", kid: "weak", typ: "at+jwt" })}.${good.split(".")[1]}.${forgedSignature(`${encode({ alg: "RS256", kid: "weak", typ: "at+jwt" })}.${good.split(".")[1]}`)}`;
  expect(codeOf(await authenticate(token))).toBe("invalid_key");
  expect(codeOf(await authenticate(good))).toBe("authenticated");
  expect(events).toContainEqual({ type: "jwks_key_refused", kid: "weak", reason: expect.stringContaining("exponent") });
});

/** With exponent 1 the signature is the padded digest itself (RFC 8017 section 9.2), so anyone can make one. */
function forgedSignature(text: string): string {
  const digestInfo = Buffer.from("3031300d060960864801650304020105000420", "hex");
  const digest = createHash("sha256").update(text).digest();
  const padding = Buffer.alloc(256 - 3 - digestInfo.length - digest.length, 0xff);
  return Buffer.concat([Buffer.from([0, 1]), padding, Buffer.from([0]), digestInfo, digest]).toString("base64url");
}
