/** Responses of a remote server to endpoints that extend the API of the vendor, which it may not have. */
import { type PlainResponse, type ProblemCode, problemResponse } from "@letta-environments/schema";
import type { CallEnd } from "../remote-call.ts";
import { problemCodeOf } from "../validate-response.ts";

/** Statuses with which a server that has no such endpoint responds. */
const missingStatuses: ReadonlySet<number> = new Set([404, 405, 501]);

/**
 * Returns the response for the caller of an extension: 404 `endpoint_not_found` where the remote server does not have the endpoint. A
 * server of this repository says what it did not find by one of `codes`; the response is then the gateway's own for this code.
 */
export function presentExtension(end: CallEnd, response: PlainResponse, codes: readonly ProblemCode[]): PlainResponse {
  if (end === null || "reason" in end || !missingStatuses.has(end.status)) return response;
  const code = problemCodeOf(end);
  return code !== null && codes.includes(code) ? problemResponse(code) : notServed;
}

const notServed: PlainResponse = problemResponse("endpoint_not_found", {
  detail: "The upstream does not serve this endpoint, which is not part of the vendor's API.",
});
