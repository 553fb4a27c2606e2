/** The result of authentication: who sends a request, or the response that refuses it. */
import { type PlainResponse, type Principal, problemResponse, type Scope } from "@letta-environments/schema";
import type { KeyRateLimits } from "../keys/key-rate-limit.ts";

/** A {@link Principal} with the members that only the gateway needs. */
export interface GatewayPrincipal extends Principal {
  /** The key's own rate limits by policy name; absent where it has none. */
  readonly rateLimits?: KeyRateLimits;
}

/** The principal of a request, or the response that refuses it. */
export type Authentication =
  | { readonly kind: "authenticated"; readonly principal: GatewayPrincipal }
  | { readonly kind: "refused"; readonly response: PlainResponse };

const challenge = 'Bearer realm="letta-environments"';

// Created once, so that a flood of wrong keys costs as little as possible.
const missing = problemResponse("missing_key", { headers: { "www-authenticate": challenge } });
const invalid = problemResponse("invalid_key", {
  headers: { "www-authenticate": `${challenge}, error="invalid_token"` },
});

/** 401 for a request without credentials (RFC 6750 section 3: without an error code). */
export function missingKey(): PlainResponse {
  return missing;
}

/** 401 for invalid credentials. It never gives the reason, because a guesser could learn from it. */
export function invalidKey(): PlainResponse {
  return invalid;
}

/** Refuses invalid credentials with {@link invalidKey}. */
export function refuseInvalidKey(): Authentication {
  return { kind: "refused", response: invalid };
}

/** `Retry-After` in seconds: a broken connection to the key store is reopened within one. */
const keyStoreRetrySeconds = 2;

/** 503 for a key that could not be verified because the key store did not respond. */
export function keyStoreUnavailable(): PlainResponse {
  return problemResponse("key_store_unavailable", { retryAfterSeconds: keyStoreRetrySeconds });
}

/** 403 for a valid key without the scope. */
export function insufficientScope(scope: Scope): PlainResponse {
  return problemResponse("insufficient_scope", {
    detail: `The gateway key lacks the scope '${scope}'.`,
    headers: { "www-authenticate": `${challenge}, error="insufficient_scope", scope="${scope}"` },
  });
}
