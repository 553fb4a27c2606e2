import { JOSEError, JWKSNoMatchingKey } from "jose/errors";
import { createLocalJWKSet } from "jose/jwks/local";
import { compactVerify } from "jose/jws/compact/verify";
import type { KeySet } from "./jwks.ts";
import type { SignedToken } from "./jwt-claims.ts";
import type { JwtSettings } from "./jwt-settings.ts";

/** The only module that loads `jose`; it is loaded with the first token. */

/** What was found of a token's signature. */
export type TokenVerdict =
  | { readonly kind: "signed"; readonly token: SignedToken }
  /** No key of the set has the token's key id and algorithm. */
  | { readonly kind: "unknown_key" }
  | { readonly kind: "invalid" };

/** Checks the signature of a token (RFC 7515) by a key of a set and one of the algorithms that are accepted. */
export type VerifyToken = (token: string, keySet: KeySet) => Promise<TokenVerdict>;

/** Creates a {@link VerifyToken}. Keys are imported once for each version of a key set. */
export function createVerifyToken(settings: JwtSettings): VerifyToken {
  let prepared: { readonly version: number; readonly find: ReturnType<typeof createLocalJWKSet> } | null = null;

  return async (token, keySet) => {
    if (prepared?.version !== keySet.version) {
      prepared = { version: keySet.version, find: createLocalJWKSet(keySet.keys) };
    }
    try {
      const options = { algorithms: [...settings.algorithms] };
      const { protectedHeader: header, payload } = await compactVerify(token, prepared.find, options);
      return { kind: "signed", token: { header, payload } };
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
