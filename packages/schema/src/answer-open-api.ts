import type { PlainResponse } from "./plain-http.ts";
import { problemResponse } from "./problem.ts";

/** Where a server tells what the API is. */
export const openApiPath = "/openapi.json";

/** The description of the API, as it is sent. */
export interface OpenApiDocument {
  readonly text: string;
  /** Strong entity tag of the text, in its quotes. */
  readonly entityTag: string;
}

/** Reads the {@link OpenApiDocument}, when the first one asks: `openapi.json` of this package, as text. */
export type OpenApiSource = () => Promise<OpenApiDocument>;

/** The public description at `/openapi.json`, which needs no key: it says what the API is, not what is behind it. */
export async function answerOpenApi(
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
