import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { fakeRequest } from "../../test/support/fake-request.ts";
import { createTestIssuer, testJwtSettings } from "../../test/support/test-issuer.ts";
import { createTestProxy, testDigests } from "../../test/support/test-proxy.ts";
import { createExpiryCheck } from "../keys/credential-expiry.ts";
import { credentialOf } from "../keys/key-record.ts";
import { createTokenAuthenticator } from "./jwt.ts";

const dayMs = 86_400_000;

test("a token that was seen expired stays expired in every spelling of its signature", async () => {
  const clock = createVirtualClock();
  const issuer = await createTestIssuer();
  const { proxy } = createTestProxy(undefined, {
    ports: { clock, hasExpired: createExpiryCheck(clock), fetchJwks: issuer.fetchJwks },
    config: { jwt: testJwtSettings },
  });
  const token = await issuer.sign(clock.now());
  const statusOf = async (key: string) => (await proxy.handle(fakeRequest({ key }))).status;
  expect(await statusOf(token)).toBe(200);
  clock.shiftWallTime(dayMs);
  expect(await statusOf(token)).toBe(401);
  clock.shiftWallTime(-dayMs);
  const unseen = await issuer.sign(clock.now(), { claims: { jti: "unseen" } });
  for (const spell of [(own: string) => own, withOtherLastCharacter, withOtherScalar])
    expect([await statusOf(spell(token)), await statusOf(spell(unseen))]).toEqual([401, 200]);
});

test("a token that the check of its socket saw expired stays expired in requests", async () => {
  const clock = createVirtualClock();
  const issuer = await createTestIssuer();
  const hasExpired = createExpiryCheck(clock);
  const ports = { clock, hasExpired, digests: testDigests, telemetry: () => undefined, fetchJwks: issuer.fetchJwks };
  const authenticate = createTokenAuthenticator(ports, testJwtSettings);
  const token = await issuer.sign(clock.now());
  const opened = await authenticate(token);
  if (opened.kind !== "authenticated") throw new Error("the token was refused");
  const { principal } = opened;
  clock.shiftWallTime(dayMs);
  expect(hasExpired(credentialOf(principal), principal.credentialExpiresAt ?? null)).toBe(true);
  clock.shiftWallTime(-dayMs);
  expect((await authenticate(token)).kind).toBe("refused");
});

/** Four bits of the last character encode nothing, and decoders ignore them. */
function withOtherLastCharacter(token: string): string {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  return token.slice(0, -1) + alphabet.charAt(alphabet.indexOf(token.slice(-1)) ^ 1);
}

/** An ECDSA signature (r, s) has a twin (r, n - s), which anybody can compute and every verifier accepts. */
function withOtherScalar(token: string): string {
  const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
  const signed = token.slice(0, token.lastIndexOf("."));
  const signature = Buffer.from(token.slice(signed.length + 1), "base64url").toString("hex");
  const scalar = (order - BigInt(`0x${signature.slice(64)}`)).toString(16).padStart(64, "0");
  return `${signed}.${Buffer.from(signature.slice(0, 64) + scalar, "hex").toString("base64url")}`;
}
