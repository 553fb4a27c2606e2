import { createVirtualClock } from "@letta-environments/testkit";
import { exportJWK, generateKeyPair } from "jose";
import { expect, test } from "vitest";
import { smallOrderPoints } from "../../test/support/small-order-points.ts";
import { testJwtSettings } from "../../test/support/test-issuer.ts";
import type { ProxyEvent } from "../telemetry.ts";
import { createJwksCache, ed25519Weakness } from "./jwks.ts";

test("ordinary Ed25519 keys are accepted, also with padding, which some issuers write", async () => {
  const { publicKey } = await generateKeyPair("Ed25519", { extractable: true });
  const { x } = await exportJWK(publicKey);
  expect([ed25519Weakness({ x }), ed25519Weakness({ x: `${x}=` })]).toEqual([null, null]);
});

test.each(smallOrderPoints)("an Ed25519 key that is the point %s of small order is refused", (point) => {
  const x = Buffer.from(point, "hex").toString("base64url");
  expect(ed25519Weakness({ x })).toContain("small order");
  expect(ed25519Weakness({ x: `${x}=` })).toContain("small order");
  // The last character has two bits more than the key, which some runtimes ignore.
  expect(ed25519Weakness({ x: x.replace(/.$/, (last) => String.fromCharCode(last.charCodeAt(0) + 1)) })).not.toBeNull();
});

test.each([
  ["no public key", undefined],
  ["a public key of 31 bytes", "A".repeat(42)],
  ["a public key of 33 bytes", "A".repeat(44)],
  ["a public key with white space, which Node and Workers ignore", ` AQ${"A".repeat(41)}`],
  ["a public key in base64, which Node and Workers read", `7v${"/".repeat(39)}38`],
])("an Ed25519 key with %s is refused", (_what, x) => {
  expect(ed25519Weakness({ x })).toContain("cannot be read");
});

test("an Ed25519 key of small order is left out of the issuer's key set, and the log names the key", async () => {
  const events: ProxyEvent[] = [];
  const sound = { kty: "EC", kid: "sound" };
  const weak = { kty: "OKP", crv: "Ed25519", x: "A".repeat(43), kid: "zero" };
  const cache = createJwksCache(
    {
      clock: createVirtualClock(),
      telemetry: (event) => void events.push(event),
      fetchJwks: async () => JSON.stringify({ keys: [weak, sound] }),
    },
    testJwtSettings,
  );
  expect((await cache.reload()).keySet?.keys.keys).toEqual([sound]);
  expect(events).toEqual([{ type: "jwks_key_refused", kid: "zero", reason: expect.stringContaining("small order") }]);
});
