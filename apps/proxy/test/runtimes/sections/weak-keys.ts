import { createFakeUpstream } from "@letta-environments/testkit";
import { exportJWK, generateKeyPair, type JWK, SignJWT } from "jose";
import { expect, test } from "vitest";
import { smallOrderPoints } from "../../support/small-order-points.ts";
import { testJwtSettings } from "../../support/test-issuer.ts";
import type { RuntimeLauncher } from "../launcher.ts";
import { ask } from "../use-gateway.ts";

const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
const encodeBytes = (...hex: readonly string[]): string => Buffer.from(hex.join(""), "hex").toString("base64url");

/** Tokens whose signatures need no private key. The cryptography of some runtimes accepts them. */
export function describeWeakKeys(launcher: RuntimeLauncher): void {
  test("a weak Ed25519 or EC key of the issuer verifies nothing, and neither does a second spelling of a signature", async () => {
    const { publicKey, privateKey } = await generateKeyPair("Ed25519", { extractable: true });
    const weak: readonly JWK[] = [
      ...smallOrderPoints.map((point) => ({ kty: "OKP", crv: "Ed25519", x: encodeBytes(point) })),
      { kty: "EC", crv: "P-256", x: encodeBytes("00".repeat(32)), y: encodeBytes("00".repeat(32)) },
    ].map((key, index) => ({ ...key, kid: `weak-${index}` }));
    const keys = [{ ...(await exportJWK(publicKey)), kid: "sound" }, ...weak];
    const upstream = await createFakeUpstream((request, response) => {
      const body = request.target === "/jwks" ? { keys } : { connections: [], hasNextPage: false };
      response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(body));
    });
    const jwt = {
      issuer: testJwtSettings.issuer,
      audience: "gateway",
      jwksUrl: `${upstream.url}/jwks`,
      tenant: "default",
    };
    const gateway = await launcher.launch({
      config: { auth: { jwt }, rateLimits: { enabled: false } },
      environment: { UPSTREAM_URL: upstream.url, LETTA_API_KEY: "sk-of-the-upstream" },
    });
    const claims = { iss: jwt.issuer, aud: "gateway", sub: "user-1", scope: "list", exp: Date.now() / 1_000 + 600 };
    const statusOf = async (key: string): Promise<number> =>
      (await ask(gateway.url, "/v1/environments", { key })).status;
    try {
      const sound = await new SignJWT(claims)
        .setProtectedHeader({ alg: "EdDSA", typ: "at+jwt", kid: "sound" })
        .sign(privateKey);
      const forged = weak.map(({ kty, kid }) => {
        const header = { alg: kty === "EC" ? "ES256" : "EdDSA", typ: "at+jwt", kid };
        return `${encode(header)}.${encode(claims)}.${forgedSignature}`;
      });
      expect(await statusOf(sound)).toBe(200);
      expect(await Promise.all([...forged, respelled(sound)].map(statusOf))).toEqual(Array(16).fill(401));
    } finally {
      await gateway.stop();
      await upstream.close();
    }
  });
}

/** R is the neutral element and S is 0: valid for any text if the public key is the neutral element, and for one text in eight at worst otherwise. */
const forgedSignature = encodeBytes("01", "00".repeat(63));

/** Adds the order of the group to S, the second half of the signature, which RFC 8032 section 5.1.7 forbids: the same equation holds. */
function respelled(token: string): string {
  const [head, claims, signature = ""] = token.split(".");
  const bytes = Buffer.from(signature, "base64url");
  const order = 2n ** 252n + 27_742_317_777_372_353_535_851_937_790_883_648_493n;
  const s = BigInt(`0x${bytes.subarray(32).reverse().toString("hex")}`) + order;
  bytes.set(Buffer.from(s.toString(16).padStart(64, "0"), "hex").reverse(), 32);
  return [head, claims, bytes.toString("base64url")].join(".");
}
