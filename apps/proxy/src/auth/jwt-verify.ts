/**
 * Verifies signature, `iss`, `aud`, `exp` and `nbf` of tokens with `jose`. No other module imports `jose`, so it is loaded with the first token
 * only. The caller is `jwt.ts`, which caches valid tokens until they expire.
 */
import { JOSEError, JWKSNoMatchingKey, JWTExpired } from "jose/errors";
import { createLocalJWKSet } from "jose/jwks/local";
import { jwtVerify } from "jose/jwt/verify";
import type { KeySet } from "./jwks.ts";
import type { JwtSettings } from "./jwt-settings.ts";

/** The result of verifying a token. */
export type TokenVerification =
  | {
      readonly kind: "valid";
      readonly claims: Readonly<Record<string, unknown>>;
      /** Epoch milliseconds, clock tolerance included. */
      readonly expiresAt: number;
    }
  /** No key of the set has the token's key id and algorithm. */
  | { readonly kind: "unknown_key" }
  /** The signature is valid. `expiresAt` as above. */
  | { readonly kind: "expired"; readonly expiresAt: number }
  | { readonly kind: "invalid" };

/**
 * Verifies the signature of a token (RFC 7515) with a key of the set, and its registered claims (RFC 7519 section 4.1, RFC 8725
 * section 3, RFC 9068 section 4).
 */
export type VerifyToken = (token: string, keySet: KeySet, nowMs: number) => Promise<TokenVerification>;

/** Creates a {@link VerifyToken}. Keys are imported once for each version of the key set. */
export function createVerifyToken(settings: JwtSettings): VerifyToken {
  let prepared: { readonly version: number; readonly find: ReturnType<typeof createLocalJWKSet> } | null = null;
  const options = {
    algorithms: [...settings.algorithms],
    issuer: settings.issuer,
    audience: [...settings.audience],
    typ: settings.type,
    clockTolerance: settings.clockToleranceMs / 1_000,
    requiredClaims: ["exp", "sub"],
  };

  const expiryOf = (exp: number): number => exp * 1_000 + settings.clockToleranceMs;

  return async (token, keySet, nowMs) => {
    if (prepared?.version !== keySet.version) {
      prepared = { version: keySet.version, find: createLocalJWKSet(keySet.keys) };
    }
    try {
      const { payload: claims } = await jwtVerify(token, prepared.find, { ...options, currentDate: new Date(nowMs) });
      const { exp } = claims;
      // JSON can contain a time that is larger than any number; jose would take it as "never".
      if (exp === undefined || !Number.isFinite(exp)) return { kind: "invalid" };
      return { kind: "valid", claims, expiresAt: expiryOf(exp) };
    } catch (cause) {
      if (cause instanceof JWKSNoMatchingKey) return { kind: "unknown_key" };
      if (cause instanceof JWTExpired) return { kind: "expired", expiresAt: expiryOf(cause.payload.exp ?? 0) };
      // A malformed token, or a key of the set that cannot be imported.
      if (cause instanceof JOSEError || cause instanceof TypeError || isCryptoFailure(cause)) {
        return { kind: "invalid" };
      }
      throw cause;
    }
  };
}

function isCryptoFailure(cause: unknown): boolean {
  return (
    cause instanceof Error && ["DataError", "OperationError", "NotSupportedError", "SyntaxError"].includes(cause.name)
  );
}
