/**
 * Verifies signature, `iss`, `aud`, `exp` and `nbf` of tokens with `jose`. No other module imports `jose`, so it is loaded with the first token
 * only. The caller is `jwt.ts`, which caches valid tokens until they expire.
 */
import type { JWTVerifyOptions, JWTVerifyResult } from "jose";
import { decode } from "jose/base64url";
import {
  JOSEAlgNotAllowed,
  JOSEError,
  JWKSInvalid,
  JWKSMultipleMatchingKeys,
  JWKSNoMatchingKey,
  JWSSignatureVerificationFailed,
  JWTClaimValidationFailed,
  JWTExpired,
} from "jose/errors";
import { createLocalJWKSet } from "jose/jwks/local";
import { jwtVerify } from "jose/jwt/verify";
import type { KeySet } from "./jwks.ts";
import type { JwtSettings } from "./jwt-settings.ts";

/** The result of verifying a token. */
export type TokenVerification =
  | {
      /** The signature of an expired token is valid too. */
      readonly kind: "valid" | "expired";
      readonly claims: Readonly<Record<string, unknown>>;
      /** Epoch milliseconds, clock tolerance included. */
      readonly expiresAt: number;
    }
  /**
   * No key of the set has the token's key id and algorithm, the one that has them cannot be used, or none of the tried ones verifies the signature. The
   * token names the configured issuer, which may have a newer key.
   */
  | { readonly kind: "unknown_key"; readonly reason: string }
  | {
      readonly kind: "invalid";
      /** For the log only, such as `token_type`. */
      readonly reason: string;
    };

/**
 * Verifies the signature of a token (RFC 7515) with a key of the set, and its registered claims (RFC 7519 section 4.1, RFC 8725
 * section 3, RFC 9068 section 4).
 */
export type VerifyToken = (token: string, keySet: KeySet, nowMs: number) => Promise<TokenVerification>;

/** Maximum number of keys that are tried for a token whose key id is missing or matches several keys. */
const maxCandidates = 4;

/** Errors that a newer key set could resolve, besides those of a key that cannot be used. */
const unknownKeyErrors = [JWKSNoMatchingKey, JWKSMultipleMatchingKeys, JWSSignatureVerificationFailed];

type FindKey = ReturnType<typeof createLocalJWKSet>;

/** Creates a {@link VerifyToken}. Keys are imported once for each version of the key set. */
export function createVerifyToken(settings: JwtSettings): VerifyToken {
  let prepared: { readonly version: number; readonly find: FindKey } | null = null;
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
      const current = { ...options, currentDate: new Date(nowMs) };
      const { payload: claims } = await verifyWithAny(token, prepared.find, current);
      const { exp } = claims;
      // JSON can contain a number that parses as `Infinity`; jose would take it as "never".
      if (exp === undefined || !Number.isFinite(exp)) return invalid("token_expiry_invalid");
      return { kind: "valid", claims, expiresAt: expiryOf(exp) };
    } catch (cause) {
      const mayBeReplaced = isUnusableKey(cause) || unknownKeyErrors.some((type) => cause instanceof type);
      if (mayBeReplaced && unverifiedIssuer(token) === settings.issuer)
        return { kind: "unknown_key", reason: reasonOf(cause) };
      if (cause instanceof JWKSNoMatchingKey) return invalid("token_issuer");
      if (cause instanceof JWTExpired) {
        const { payload: claims } = cause;
        return { kind: "expired", claims, expiresAt: expiryOf(claims.exp ?? 0) };
      }
      // A malformed token, or a token of another issuer.
      if (cause instanceof JOSEError || isUnusableKey(cause)) return invalid(reasonOf(cause));
      throw cause;
    }
  };
}

/** Verifies a token. If it has no key id, or several keys share its key id, tries each key that fits (RFC 7515 section 6). */
async function verifyWithAny(token: string, find: FindKey, options: JWTVerifyOptions): Promise<JWTVerifyResult> {
  try {
    return await jwtVerify(token, find, options);
  } catch (cause) {
    if (!(cause instanceof JWKSMultipleMatchingKeys)) throw cause;
    let tried = 0;
    for await (const key of cause) {
      if (tried === maxCandidates) throw cause;
      tried += 1;
      try {
        return await jwtVerify(token, key, options);
      } catch (failure) {
        if (!(failure instanceof JWSSignatureVerificationFailed)) throw failure;
      }
    }
    throw new JWSSignatureVerificationFailed();
  }
}

function invalid(reason: string): TokenVerification {
  return { kind: "invalid", reason };
}

/** Returns the issuer (`iss`) that a token claims. The signature is not verified. */
function unverifiedIssuer(token: string): unknown {
  try {
    const claims = JSON.parse(new TextDecoder().decode(decode(token.split(".")[1] ?? ""))) as {
      readonly iss?: unknown;
    };
    return claims.iss;
  } catch {
    return null;
  }
}

/** The reason for the log. It names what is wrong and never repeats a value of the token, which anybody may have written. */
function reasonOf(cause: unknown): string {
  if (cause instanceof JWTClaimValidationFailed) {
    if (cause.claim === "nbf" && cause.reason !== "check_failed") return "token_claim_invalid";
    return claimReasons[cause.claim] ?? "token_claim_invalid";
  }
  if (cause instanceof JWKSNoMatchingKey) return "token_key_unknown";
  if (cause instanceof JWSSignatureVerificationFailed) return "token_signature";
  if (cause instanceof JOSEAlgNotAllowed) return "token_algorithm";
  if (cause instanceof JWKSMultipleMatchingKeys) return "token_key_ambiguous";
  return isUnusableKey(cause) ? "token_key_unusable" : "token_malformed";
}

/** The registered claims and the header parameter that `jose` checks. */
const claimReasons: Readonly<Record<string, string>> = {
  iss: "token_issuer",
  aud: "token_audience",
  typ: "token_type",
  exp: "token_expiry_invalid",
  nbf: "token_not_yet_valid",
  sub: "token_claim_sub",
};

/** Whether a key of the set cannot be imported, is private, or does not fit its algorithm. What is wrong with a token itself has other errors. */
function isUnusableKey(cause: unknown): boolean {
  return (
    cause instanceof JWKSInvalid ||
    (cause instanceof Error &&
      ["TypeError", "DataError", "OperationError", "NotSupportedError", "SyntaxError"].includes(cause.name))
  );
}
