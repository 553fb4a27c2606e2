import {
  type Endpoint,
  isJsonMediaType,
  type PlainHeaders,
  type PlainResponse,
  problemResponse,
} from "@letta-environments/schema";
import { invalidKey } from "../auth/authentication.ts";
import type { UpstreamCredential } from "../ports.ts";
import { passedFields } from "./upstream-limit-fields.ts";
import { parseJsonObject } from "./parse-json-object.ts";
import { translateError } from "./translate-error.ts";

/**
 * Turns a remote server's response into the client's response. A success has the endpoint's success status and a JSON object; anything else
 * becomes a problem, because authorisation and presentation read a body only on success. Only the status, the body and listed headers are
 * passed on.
 */
export function judgeResponse(
  endpoint: Endpoint,
  response: PlainResponse,
  credential: UpstreamCredential | undefined,
): PlainResponse {
  const { status } = response;
  if (status >= 300 && status < 400) return problemResponse("upstream_redirected");
  if (status === 401 || status === 403) return credentialRefused(status, credential);
  // RFC 9110 section 15 defines no status above 599.
  if (status >= 400 && status < 600) return translateError(endpoint, response, credential?.value ?? null);
  if (status !== endpoint.successStatus) return problemResponse("upstream_invalid_response");
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
    ...passedFields(headers),
    "content-type": "application/json",
    ...(replayed === "true" && { "idempotency-replayed": replayed }),
  };
}
