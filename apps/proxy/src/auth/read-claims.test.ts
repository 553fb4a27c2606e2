import fc from "fast-check";
import { CompactSign, generateKeyPair, jwtVerify } from "jose";
import { describe, expect, test } from "vitest";
import { testJwtSettings } from "../../test/support/test-issuer.ts";
import { readClaims, type TokenClaims } from "./jwt-claims.ts";

const nowMs = 1_800_000_000_500;
const now = 1_800_000_000;
const good = { iss: testJwtSettings.issuer, aud: testJwtSettings.audience[0], sub: "user-1", exp: now + 60 };
const settings = { ...testJwtSettings, clockToleranceMs: 5_000 };

function read(claims: object | string, header: object = {}): TokenClaims | null {
  const payload = new TextEncoder().encode(typeof claims === "string" ? claims : JSON.stringify(claims));
  return readClaims({ header: { alg: "ES256", typ: "at+jwt", ...header }, payload }, settings, nowMs);
}

test("claims that hold are given with the end of the token, tolerance included", () => {
  expect(read({ ...good, org: "t1" })).toEqual({ claims: { ...good, org: "t1" }, expiresAt: (now + 65) * 1_000 });
});

describe("what holds:", () => {
  test.each<readonly [string, object]>([
    ["an audience among several", { aud: ["other", good.aud] }],
    ["an end within the tolerance", { exp: now - 4 }],
    ["a beginning within the tolerance", { nbf: now + 5 }],
    ["a time of issue in the future", { iat: now + 3_600 }],
  ])("%s", (_what, claims) => {
    expect(read({ ...good, ...claims })).not.toBeNull();
  });

  test.each<readonly [string, object]>([
    ["a type with its full name, in any case", { typ: "Application/AT+jwt" }],
    ["a payload that is said to be encoded", { b64: true, crit: ["b64"] }],
  ])("%s", (_what, header) => {
    expect(read(good, header)).not.toBeNull();
  });
});

describe("what does not hold:", () => {
  test.each<readonly [string, object]>([
    ["an end", { exp: now - 5 }],
    ["no end", { exp: undefined }],
    ["an end that is no number", { exp: String(now + 60) }],
    ["a beginning", { nbf: now + 6 }],
    ["a beginning that is no number", { nbf: "0" }],
    ["a beginning that is null", { nbf: null }],
    ["a time of issue that is no number", { iat: "0" }],
    ["another issuer", { iss: `${good.iss}/` }],
    ["issuers in a list", { iss: [good.iss] }],
    ["no issuer", { iss: undefined }],
    ["no subject", { sub: undefined }],
    ["another audience", { aud: "other" }],
    ["an audience that holds ours as a part", { aud: `${good.aud}x` }],
    ["an audience that is no text", { aud: { 0: good.aud, length: 1 } }],
    ["an audience in a list in a list", { aud: [[good.aud]] }],
    ["an empty list of audiences", { aud: [] }],
    ["no audience", { aud: undefined }],
  ])("%s", (_what, claims) => {
    expect(read({ ...good, ...claims })).toBeNull();
  });

  test.each<readonly [string, object]>([
    ["another type", { typ: "JWT" }],
    ["no type", { typ: undefined }],
    ["a type that is no text", { typ: ["at+jwt"] }],
    ["an unencoded payload", { b64: false, crit: ["b64"] }],
  ])("%s", (_what, header) => {
    expect(read(good, header)).toBeNull();
  });

  test("an end that no number can hold", () => {
    expect(read(JSON.stringify(good).replace(String(good.exp), "1e999"))).toBeNull();
  });

  test.each(["", "null", "[]", '"text"', "{", `[${JSON.stringify(good)}]`])("%j in the place of claims", (text) => {
    expect(read(text)).toBeNull();
  });

  test("a payload that is no UTF-8", () => {
    const bytes = new TextEncoder().encode(JSON.stringify({ ...good, name: "x" }));
    bytes[bytes.length - 3] = 0xff;
    expect(readClaims({ header: { typ: "at+jwt" }, payload: bytes }, settings, nowMs)).toBeNull();
  });
});

test("whatever a token claims, jose judges it the same", async () => {
  const { publicKey, privateKey } = await generateKeyPair("ES256");
  const texts = fc.constantFrom<unknown>(good.iss, good.aud, "other", "", null, undefined, 1, ["other", good.aud], []);
  const times = fc.oneof(
    fc.integer({ min: now - 8, max: now + 8 }),
    fc.double({ min: now - 8, max: now + 8, noNaN: true }),
    fc.constantFrom<unknown>(undefined, null, "1", 0, -1, 1e300, -1e300, [now], true),
  );
  const types = fc.constantFrom("at+jwt", "AT+JWT", "application/at+jwt", "jwt", "x/at+jwt", undefined);
  const tokens = fc.record({ iss: texts, aud: texts, sub: texts, exp: times, nbf: times, iat: times, typ: types });
  // Most are good but for one or two members, or the wrong ones would hide each other.
  const mostlyGood = fc.tuple(tokens, fc.subarray(["iss", "aud", "sub", "exp", "nbf", "iat", "typ"] as const));
  await fc.assert(
    fc.asyncProperty(mostlyGood, async ([drawn, changed]) => {
      const changes = Object.fromEntries(changed.map((name) => [name, drawn[name]]));
      const { typ, ...claims } = { ...good, typ: "at+jwt", ...changes };
      const payload = new TextEncoder().encode(JSON.stringify(claims));
      const header = { alg: "ES256", ...(typ !== undefined && { typ }) };
      const token = await new CompactSign(payload).setProtectedHeader(header).sign(privateKey);
      const isGood = await jwtVerify(token, publicKey, {
        algorithms: ["ES256"],
        issuer: settings.issuer,
        audience: [...settings.audience],
        typ: settings.type,
        clockTolerance: settings.clockToleranceMs / 1_000,
        currentDate: new Date(nowMs),
        requiredClaims: ["exp", "sub"],
      }).then(
        () => true,
        () => false,
      );
      expect([claims, header, readClaims({ header, payload }, settings, nowMs) !== null]).toEqual([
        claims,
        header,
        isGood,
      ]);
    }),
    { numRuns: 500 },
  );
});
