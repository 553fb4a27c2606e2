/** Authentication: the token of a request, and the result, which is a principal or the response that refuses the request. */
import {
  type PlainHeaders,
  type PlainResponse,
  type Principal,
  problemResponse,
  type Refused,
  type Scope,
} from "@letta-environments/schema";
import type { KeyInvite } from "../keys/key-record.ts";
import type { KeyRateLimits } from "../keys/key-rate-limit.ts";
import type { GatewayPorts } from "../ports.ts";

/** A {@link Principal} with the members that only the gateway needs. */
export interface GatewayPrincipal extends Principal {
  /** The key's own rate limits by policy name; absent where it has none. */
  readonly rateLimits?: KeyRateLimits;
  /** The invitation; absent for a key that is not one. */
  readonly invite?: KeyInvite;
  /** When the key, or the secret that authenticated, expires, in epoch milliseconds; absent if neither expires, and for tokens. */
  readonly keyExpiresAt?: number;
  /** Set for a session of the console. */
  readonly isSession?: true;
}

/** The principal of a request, or the response that refuses it. */
export type Authentication =
  | { readonly kind: "authenticated"; readonly principal: GatewayPrincipal }
  | (Refused & {
      /** Why credentials are invalid, such as `token_expired`. For the log only: the response never gives the reason. */
      readonly reason?: string;
      /** Set if the credentials may be valid. The first such failures of an address do not count as guesses; see `limits/authentication.ts`. */
      readonly isUncounted?: true;
    });

type RefusedAuthentication = Extract<Authentication, Refused>;

const challenge = 'Bearer realm="letta-environments"';

// Created once, so that a flood of wrong keys costs as little as possible.

/** 401 for a request without credentials, or with those of another scheme (RFC 6750 section 3: without an error code). */
export const missingKey: PlainResponse = problemResponse("missing_key", { headers: { "www-authenticate": challenge } });

/** The challenge of every 401 for invalid credentials (RFC 9110 section 11.6.1). */
export const invalidTokenChallenge: PlainHeaders = { "www-authenticate": `${challenge}, error="invalid_token"` };

/** 401 for invalid credentials. It never gives the reason, because a guesser could learn from it. */
export const invalidKey: PlainResponse = problemResponse("invalid_key", { headers: invalidTokenChallenge });

/** Refuses invalid credentials with {@link invalidKey}. The reason appears in the log only. */
export function refuseInvalidKey(reason: string): RefusedAuthentication {
  return { kind: "refused", response: invalidKey, reason };
}

/** 503 for a key that could not be verified because the key store did not respond. A broken connection to it is reopened within a second. */
export const keyStoreUnavailable: PlainResponse = problemResponse("key_store_unavailable", { retryAfterSeconds: 2 });

/** The challenge of a 403 `insufficient_scope` (RFC 6750 section 3), without the name of a missing scope. */
export const insufficientScopeChallenge: PlainHeaders = {
  "www-authenticate": `${challenge}, error="insufficient_scope"`,
};

/** 403 for a valid key without the scope. */
export function insufficientScope(scope: Scope): PlainResponse {
  return problemResponse("insufficient_scope", {
    detail: `The gateway key lacks the scope '${scope}'.`,
    headers: { "www-authenticate": `${challenge}, error="insufficient_scope", scope="${scope}"` },
  });
}

const credentialsPattern = /^Bearer +([A-Za-z0-9._~+/-]+=*)$/i;

/** A scheme other than `Bearer` with credentials (RFC 9110 section 11.4). */
const otherSchemePattern = /^(?!Bearer )[\w!#$%&'*+.^`|~-]+ +\S/i;

/**
 * Reads the token of `Authorization: Bearer <token>` (RFC 6750 section 2.1). Anything else is `malformed` unless it has another scheme,
 * even several fields or values, because two readers could pick different ones.
 */
export function readBearerToken(
  authorization: string | null,
): { readonly kind: "token"; readonly token: string } | { readonly kind: "absent" | "other_scheme" | "malformed" } {
  if (authorization === null || authorization === "") return { kind: "absent" };
  const token = credentialsPattern.exec(authorization)?.[1];
  if (token !== undefined) return { kind: "token", token };
  return { kind: otherSchemePattern.test(authorization) ? "other_scheme" : "malformed" };
}

/**
 * Returns a function that recognises the operator's token. It compares digests of equal length in constant time, so that its
 * duration reveals nothing about the token.
 */
export function createOperatorTokenCheck(
  { digests, pepper }: Pick<GatewayPorts, "digests" | "pepper">,
  operatorToken: string,
): (token: string) => boolean {
  const expected = digests.hmacSha256(pepper.secret, operatorToken);
  return (token) => digests.constantTimeEqual(digests.hmacSha256(pepper.secret, token), expected);
}
