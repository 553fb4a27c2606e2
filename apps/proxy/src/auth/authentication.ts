import { type PlainResponse, type Principal, problemResponse, type Scope } from "@letta-environments/schema";
import type { KeyRateLimits } from "../keys/key-rate-limit.ts";

/** A {@link Principal} with what only the gateway needs to know of it. */
export interface GatewayPrincipal extends Principal {
  /** The key's own measures of rate limits; absent where it has none. */
  readonly rateLimits?: KeyRateLimits;
}

const challenge = 'Bearer realm="letta-environments"';

/** 401 for a request without a key (RFC 6750 section 3: no error code then). */
export function missingKey(): PlainResponse {
  return missing;
}

/** 401 for a key that is not valid. It never says why, so that a guesser learns nothing. */
export function invalidKey(): PlainResponse {
  return invalid;
}

// Made once: a flood of guesses must not be worth more work than it takes to refuse it.
const missing = problemResponse("missing_key", { headers: { "www-authenticate": challenge } });
const invalid = problemResponse("invalid_key", {
  headers: { "www-authenticate": `${challenge}, error="invalid_token"` },
});

/** Seconds after which a repeat is worth it: a connection that broke is tried again within one. */
const keyStoreRetrySeconds = 2;

/** 503 for a key that could not be judged, because the store of keys did not answer. */
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
