import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { createTestIssuer, testJwtSettings } from "../../test/support/test-issuer.ts";
import { testDigests } from "../../test/support/test-proxy.ts";
import { createExpiryCheck } from "../keys/credential-expiry.ts";
import { createTokenAuthenticator } from "./jwt.ts";

test("once an issuer has corrected an unusable key, its tokens are accepted; until then only refusals that have read the keys count", async () => {
  const clock = createVirtualClock();
  const issuer = await createTestIssuer();
  const authenticate = createTokenAuthenticator(
    {
      clock,
      hasExpired: createExpiryCheck(clock),
      digests: testDigests,
      telemetry: () => undefined,
      fetchJwks: (url, signal) => issuer.fetchJwks(url, signal),
    },
    testJwtSettings,
  );
  const token = await issuer.sign(clock.now());
  const key = issuer.publicKey();
  const correct = { ...key };
  Object.assign(key, { x: "AA", y: "AA" });
  const refused = { response: { status: 401 }, reason: "token_key_unusable" };
  const first = await authenticate(token);
  expect(first).toMatchObject(refused);
  expect(first).not.toHaveProperty("isUncounted");
  Object.assign(key, correct);
  expect(await authenticate(token)).toMatchObject({ ...refused, isUncounted: true });
  await clock.advance(30_000);
  expect(await authenticate(token)).toMatchObject({ kind: "authenticated" });
});
