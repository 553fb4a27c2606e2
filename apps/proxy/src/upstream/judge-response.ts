import {
  type Endpoint,
  isJsonMediaType,
  type PlainHeaders,
  type PlainResponse,
  problemResponse,
} from "@letta-environments/schema";
import { invalidKey } from "../auth/authentication.ts";
import type { UpstreamCredential } from "../ports.ts";
import { upstreamLimitFields } from "./upstream-limit-fields.ts";
import { parseJsonObject } from "./parse-json-object.ts";
import { translateError } from "./translate-error.ts";

/**
 * Turns the answer of a foreign server into what the caller gets: a JSON object on success, a problem otherwise. Only the
 * status, the body and `Retry-After` come through; every other header is the gateway's own.
 */
export function judgeResponse(
  endpoint: Endpoint,
  response: PlainResponse,
  credential: UpstreamCredential | undefined,
): PlainResponse {
  const { status } = response;
  // RFC 9110 section 15: nothing above 599 is a status, and a Response of the web cannot be made of it.
  if (status > 599) return problemResponse("upstream_invalid_response");
  if (status >= 300 && status < 400) return problemResponse("upstream_redirected");
  if (status === 401 || status === 403) return credentialRefused(status, credential);
  if (status >= 400) return translateError(endpoint, response, credential?.value ?? null);
  const contentType = response.headers["content-type"];
  if (contentType === undefined || !isJsonMediaType(contentType) || parseJsonObject(response.body) === null) {
    return problemResponse("upstream_invalid_response");
  }
  credential?.onCallerAccepted?.();
  return { status, headers: passedResponseHeaders(response.headers), body: response.body };
}

/** A caller's own key is the caller's to mend; the gateway's credential is not. */
function credentialRefused(status: 401 | 403, credential: UpstreamCredential | undefined): PlainResponse {
  if (credential?.onCallerRefused === undefined) return problemResponse("upstream_credential_rejected");
  credential.onCallerRefused(status);
  return status === 401 ? invalidKey() : problemResponse("upstream_forbidden");
}

function passedResponseHeaders(headers: PlainHeaders): PlainHeaders {
  const replayed = headers["idempotency-replayed"];
  return {
    ...upstreamLimitFields(headers),
    "content-type": "application/json",
    ...(replayed === "true" && { "idempotency-replayed": replayed }),
  };
}
