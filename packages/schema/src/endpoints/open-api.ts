/** Serves the OpenAPI document of this package at `/openapi.json`. It needs no key: it describes the API and holds no data. */
import type { PlainResponse } from "../base/plain-http.ts";
import { problemResponse } from "../problems/problem.ts";

/** Path of the OpenAPI document. */
export const openApiPath = "/openapi.json";

/** The OpenAPI document, ready to be sent. */
export interface OpenApiDocument {
  readonly text: string;
  /** Strong entity tag of the text, with its quotes (RFC 9110 section 8.8.3). */
  readonly entityTag: string;
}

/** Loads the document when it is first requested: `openapi.json` of this package, as text. */
export type OpenApiSource = () => Promise<OpenApiDocument>;

/**
 * Builds the response to a request for the document: 200, 304 if `If-None-Match` has its entity tag, or 405 for a method
 * other than GET and HEAD.
 */
export async function openApiResponse(
  method: string,
  ifNoneMatch: string | null,
  source: OpenApiSource,
): Promise<PlainResponse> {
  if (method !== "GET" && method !== "HEAD")
    return problemResponse("method_not_allowed", { headers: { allow: "GET, HEAD" } });
  const { text, entityTag } = await source();
  const headers = { etag: entityTag, "content-type": "application/json" };
  const tags = (ifNoneMatch ?? "").split(",").map((tag) => tag.trim().replace(/^W\//, ""));
  return tags.includes(entityTag) || tags.includes("*")
    ? { status: 304, headers: { etag: entityTag }, body: null }
    : { status: 200, headers, body: text };
}
