import { exportJWK, generateKeyPair, type JWK, type JWTHeaderParameters, type JWTPayload, SignJWT } from "jose";
import type { JwtSettings } from "../../src/auth/jwt-settings.ts";
import type { JwksFetch } from "../../src/ports.ts";

/** Settings that accept the tokens of {@link createTestIssuer}. */
export const testJwtSettings: JwtSettings = {
  issuer: "https://issuer.example",
  audience: ["gateway"],
  jwksUrl: "https://issuer.example/jwks",
  algorithms: ["ES256"],
  type: "at+jwt",
  clockToleranceMs: 5_000,
  maxTokenBytes: 8_192,
  jwksMaxAgeMs: 600_000,
  jwksStaleMs: 86_400_000,
  jwksCooldownMs: 30_000,
  jwksTimeoutMs: 5_000,
  tenant: null,
  claims: {
    tenant: "org",
    scopes: "scope",
    owner: "sub",
    deviceIds: null,
    connectionNames: null,
    deviceTags: null,
    agentIds: null,
    maxMode: null,
  },
  scopeMap: null,
};

/** The differences from a valid token. */
export interface TokenOverrides {
  readonly claims?: JWTPayload;
  readonly header?: Partial<JWTHeaderParameters>;
}

/** An issuer whose key can be changed, and whose key set can be away. */
export interface TestIssuer {
  readonly fetchJwks: JwksFetch;
  /** How often the key set was read. */
  readonly fetchCount: number;
  isDown: boolean;
  /** Keys of others in the set. */
  readonly extraKeys: JWK[];
  /** Replaces the key; tokens of the old one are not in the set any longer. */
  rotate(): Promise<void>;
  publicKey(): JWK;
  sign(nowMs: number, overrides?: TokenOverrides): Promise<string>;
}

/** Creates a {@link TestIssuer}. `keyId` names the keys, in their order; `null`: by no id. */
export async function createTestIssuer(
  keyId: (generation: number) => string | null = (generation) => `key-${generation}`,
): Promise<TestIssuer> {
  let generation = 0;
  let fetchCount = 0;
  let current = await makeKey(keyId(generation));
  const issuer: TestIssuer = {
    get fetchCount() {
      return fetchCount;
    },
    isDown: false,
    extraKeys: [],
    async fetchJwks() {
      fetchCount += 1;
      if (issuer.isDown) throw new Error("the issuer is away");
      return JSON.stringify({ keys: [current.jwk, ...issuer.extraKeys] });
    },
    async rotate() {
      current = await makeKey(keyId((generation += 1)));
    },
    publicKey: () => current.jwk,
    sign(nowMs, { claims = {}, header = {} } = {}) {
      const now = Math.floor(nowMs / 1_000);
      const payload = {
        iss: testJwtSettings.issuer,
        aud: "gateway",
        sub: "user-1",
        org: "t1",
        scope: "list read",
        iat: now,
        exp: now + 3_600,
        ...claims,
      };
      return new SignJWT(payload)
        .setProtectedHeader({ alg: "ES256", typ: "at+jwt", ...namedBy(current.jwk.kid), ...header })
        .sign(current.privateKey);
    },
  };
  return issuer;
}

async function makeKey(kid: string | null): Promise<{ jwk: JWK; privateKey: CryptoKey }> {
  const { publicKey, privateKey } = await generateKeyPair("ES256", { extractable: true });
  const jwk = { ...(await exportJWK(publicKey)), ...namedBy(kid), alg: "ES256", use: "sig" };
  return { jwk, privateKey };
}

function namedBy(kid: string | null | undefined): { readonly kid?: string } {
  return kid === null || kid === undefined ? {} : { kid };
}
