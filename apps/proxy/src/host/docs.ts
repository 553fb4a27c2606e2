/**
 * `/docs`: the description of the API for people, and a page for each error code. The pages contain their style and script, and their policy allows
 * nothing else: the script sends requests to this gateway alone, with a key that the reader types.
 */
import { type PlainResponse, problemResponse } from "@letta-environments/schema";
import { notModified } from "../http/conditions.ts";
import type { GatewayRequest } from "../http/gateway-request.ts";
import { revalidated } from "../http/response.ts";
import type { DocsPages, LoadDocs } from "../ports.ts";
import type { LoggedRoute } from "./routes.ts";

/** The paths of the pages, as routes of Hono. */
const paths: readonly string[] = ["/docs", "/docs/", "/docs/problems", "/docs/problems/", "/docs/problems/:code"];

export function createDocsRoutes(load: LoadDocs): readonly Pick<LoggedRoute, "path" | "respond">[] {
  return paths.map((path) => ({ path, respond: (request) => respondWithDocs(request, load) }));
}

async function respondWithDocs(
  request: Pick<GatewayRequest, "path" | "header">,
  load: LoadDocs,
): Promise<PlainResponse> {
  const pages = await load();
  if (pages === null) return missing;
  const page = findPage(pages, request.path.replace(/\/$/, ""));
  if (page === null) return problemResponse("endpoint_not_found", { detail: "There is no such page." });
  const headers = {
    "content-type": "text/html; charset=utf-8",
    etag: pages.entityTag,
    "cache-control": revalidated,
    "content-security-policy": pages.contentSecurityPolicy,
    "cross-origin-opener-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
  };
  return notModified({ status: 200, headers, body: page }, request.header("if-none-match"));
}

function findPage({ index, problems, problemPages }: DocsPages, path: string): string | null {
  if (path === "/docs") return index;
  if (path === "/docs/problems") return problems;
  const code = path.slice("/docs/problems/".length);
  return Object.hasOwn(problemPages, code) ? (problemPages[code] ?? null) : null;
}

const missing = problemResponse("endpoint_not_found", {
  detail: "The pages are in docs-pages.json, which the build writes beside the program. Copy that file too.",
});
