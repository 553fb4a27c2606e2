/** The only module that loads `jose`; it is loaded with the first token. */
import { JOSEError, JWKSNoMatchingKey } from "jose/errors";
import { createLocalJWKSet } from "jose/jwks/local";
import { jwtVerify } from "jose/jwt/verify";
import type { JwtSettings } from "../../config/settings.ts";
import type { KeySet } from "./key-set.ts";

/** What was found of a token. */
export type TokenVerdict =
  | {
      readonly kind: "valid";
      readonly claims: Readonly<Record<string, unknown>>;
      /** Epoch milliseconds, tolerance included. */
      readonly expiresAt: number;
    }
  /** No key of the set has the token's key id and algorithm. */
  | { readonly kind: "unknown_key" }
  | { readonly kind: "invalid" };

/** Checks a token's signature and registered claims (RFC 7519, RFC 8725, RFC 9068). */
export type VerifyToken = (token: string, keySet: KeySet, nowMs: number) => Promise<TokenVerdict>;

/** Creates a {@link VerifyToken}. Keys are imported once for each version of a key set. */
export function createVerifyToken(settings: JwtSettings): VerifyToken {
  let prepared: { readonly version: number; readonly find: ReturnType<typeof createLocalJWKSet> } | null = null;

  return async (token, keySet, nowMs) => {
    if (prepared?.version !== keySet.version) {
      prepared = { version: keySet.version, find: createLocalJWKSet(keySet.keys) };
    }
    try {
      const { payload } = await jwtVerify(token, prepared.find, {
        algorithms: [...settings.algorithms],
        issuer: settings.issuer,
        audience: [...settings.audience],
        typ: settings.type,
        clockTolerance: settings.clockToleranceMs / 1_000,
        currentDate: new Date(nowMs),
        requiredClaims: ["exp", "sub"],
      });
      return { kind: "valid", claims: payload, expiresAt: (payload.exp ?? 0) * 1_000 + settings.clockToleranceMs };
    } catch (cause) {
      if (cause instanceof JWKSNoMatchingKey) return { kind: "unknown_key" };
      // A key of the set that cannot be imported, or a token that is none: neither lets anybody in.
      if (cause instanceof JOSEError || cause instanceof TypeError || isCryptoFailure(cause))
        return { kind: "invalid" };
      throw cause;
    }
  };
}

function isCryptoFailure(cause: unknown): boolean {
  return (
    cause instanceof Error && ["DataError", "OperationError", "NotSupportedError", "SyntaxError"].includes(cause.name)
  );
}
