import { type PlainResponse, problemResponse, type Scope } from "@letta-environments/schema";

const challenge = 'Bearer realm="letta-environments"';

/** 401 for a request without a key (RFC 6750 section 3: no error code then). */
export function missingKey(): PlainResponse {
  return problemResponse("missing_key", { headers: { "www-authenticate": challenge } });
}

/** 401 for a key that is not valid. It never says why, so that a guesser learns nothing. */
export function invalidKey(): PlainResponse {
  return problemResponse("invalid_key", { headers: { "www-authenticate": `${challenge}, error="invalid_token"` } });
}

/** 403 for a valid key without the scope. */
export function insufficientScope(scope: Scope): PlainResponse {
  return problemResponse("insufficient_scope", {
    detail: `The gateway key lacks the scope '${scope}'.`,
    headers: { "www-authenticate": `${challenge}, error="insufficient_scope", scope="${scope}"` },
  });
}
