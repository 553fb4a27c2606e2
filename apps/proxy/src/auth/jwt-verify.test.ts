import { CompactSign, exportJWK, generateKeyPair, type JWTHeaderParameters } from "jose";
import { describe, expect, test } from "vitest";
import { testJwtSettings } from "../../test/support/test-issuer.ts";
import type { KeySet } from "./jwks.ts";
import { createVerifyToken, type TokenVerification } from "./jwt-verify.ts";

const nowMs = 1_800_000_000_500;
const now = 1_800_000_000;
const good = { iss: testJwtSettings.issuer, aud: testJwtSettings.audience[0], sub: "user-1", exp: now + 60 };
const settings = { ...testJwtSettings, clockToleranceMs: 5_000 };

const { publicKey, privateKey } = await generateKeyPair("ES256", { extractable: true });
const publicJwk = { ...(await exportJWK(publicKey)), kid: "key-1", alg: "ES256" };
const keySet = { keys: { keys: [publicJwk] }, version: 1 };
const verifyToken = createVerifyToken(settings);

async function verify(
  claims: object | string | Uint8Array,
  header: object = {},
  keys: KeySet = keySet,
): Promise<TokenVerification> {
  const text = typeof claims === "string" ? claims : JSON.stringify(claims);
  const payload = claims instanceof Uint8Array ? claims : new TextEncoder().encode(text);
  const protectedHeader = { alg: "ES256", kid: "key-1", typ: "at+jwt", ...header };
  const defined = Object.fromEntries(Object.entries(protectedHeader).filter(([, value]) => value !== undefined));
  const token = await new CompactSign(payload).setProtectedHeader(defined as JWTHeaderParameters).sign(privateKey);
  return verifyToken(token, keys, nowMs);
}

test("verification returns the claims and the expiry, including the clock tolerance", async () => {
  expect(await verify({ ...good, org: "t1" })).toEqual({
    kind: "valid",
    claims: { ...good, org: "t1" },
    expiresAt: (now + 65) * 1_000,
  });
});

describe("accepted tokens", () => {
  test.each<readonly [string, object]>([
    ["an audience in a list", { aud: ["other", good.aud] }],
    ["an expiry within the tolerance", { exp: now - 4 }],
    ["a not-before time within the tolerance", { nbf: now + 5 }],
    ["an issued-at time in the future", { iat: now + 3_600 }],
  ])("verification accepts %s", async (_what, claims) => {
    expect(await verify({ ...good, ...claims })).toMatchObject({ kind: "valid" });
  });

  test("verification accepts a typ with its full media type, in any case", async () => {
    expect(await verify(good, { typ: "Application/AT+jwt" })).toMatchObject({ kind: "valid" });
  });
});

describe("refused tokens", () => {
  test("verification refuses an expired token, and says when it expired", async () => {
    expect(await verify({ ...good, exp: now - 5 })).toMatchObject({
      kind: "expired",
      claims: { sub: good.sub },
      expiresAt: now * 1_000,
    });
  });

  test.each<readonly [string, object]>([
    ["a token without an expiry", { exp: undefined }],
    ["an expiry that is not a number", { exp: String(now + 60) }],
    ["a not-before time in the future", { nbf: now + 6 }],
    ["a not-before time that is not a number", { nbf: "0" }],
    ["a not-before time that is null", { nbf: null }],
    ["an issued-at time that is not a number", { iat: "0" }],
    ["another issuer", { iss: `${good.iss}/` }],
    ["a list of issuers", { iss: [good.iss] }],
    ["a token without an issuer", { iss: undefined }],
    ["a token without a subject", { sub: undefined }],
    ["another audience", { aud: "other" }],
    ["an audience that contains ours as a part", { aud: `${good.aud}x` }],
    ["an audience that is neither a text nor a list", { aud: { 0: good.aud, length: 1 } }],
    ["an audience in a nested list", { aud: [[good.aud]] }],
    ["an empty list of audiences", { aud: [] }],
    ["a token without an audience", { aud: undefined }],
  ])("verification refuses %s", async (_what, claims) => {
    expect(await verify({ ...good, ...claims })).toEqual({ kind: "invalid", reason: expect.stringMatching(/^token_/) });
  });

  test.each<readonly [string, object]>([
    ["another type", { typ: "JWT" }],
    ["a token without a type", { typ: undefined }],
    ["a type that is not a text", { typ: ["at+jwt"] }],
  ])("verification refuses %s", async (_what, header) => {
    expect(await verify(good, header)).toEqual({ kind: "invalid", reason: expect.stringMatching(/^token_/) });
  });

  test("verification refuses an unencoded payload (RFC 7797 section 7)", async () => {
    const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
    const header = { alg: "ES256", kid: "key-1", typ: "at+jwt", b64: false, crit: ["b64"] };
    const token = `${encode(header)}.${encode(good)}.${encode({})}`;
    expect(await verifyToken(token, keySet, nowMs)).toEqual({ kind: "unknown_key", reason: "token_signature" });
  });

  test("verification refuses an expiry that is larger than any number", async () => {
    expect(await verify(JSON.stringify(good).replace(String(good.exp), "1e999"))).toEqual({
      kind: "invalid",
      reason: expect.stringMatching(/^token_/),
    });
  });

  test.each(["", "null", "[]", '"text"', "{", `[${JSON.stringify(good)}]`])(
    "verification refuses %j instead of claims",
    async (text) => {
      expect(await verify(text)).toEqual({ kind: "invalid", reason: expect.stringMatching(/^token_/) });
    },
  );

  test("verification refuses a payload that is not UTF-8", async () => {
    const bytes = new TextEncoder().encode(JSON.stringify({ ...good, name: "x" }));
    bytes[bytes.length - 3] = 0xff;
    expect(await verify(bytes)).toEqual({ kind: "invalid", reason: expect.stringMatching(/^token_/) });
  });
});

test("a token with an unknown key id has a separate result, so that the key set is read again", async () => {
  expect(await verify(good, { kid: "key-2" })).toEqual({ kind: "unknown_key", reason: "token_key_unknown" });
});

test.each<readonly [string, object]>([
  ["cannot be imported", { x: "AA", y: "AA" }],
  ["is private", await exportJWK(privateKey)],
])("a token whose key %s has that result too, because the issuer may have corrected it", async (_what, damage) => {
  const damaged: KeySet = { keys: { keys: [{ ...publicJwk, ...damage }] }, version: 2 };
  expect(await verify(good, {}, damaged)).toEqual({ kind: "unknown_key", reason: "token_key_unusable" });
  expect(await verify({ ...good, iss: "https://elsewhere.example" }, {}, damaged)).toMatchObject({ kind: "invalid" });
});
