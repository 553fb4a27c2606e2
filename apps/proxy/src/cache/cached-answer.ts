import type { CacheAnswer, UpstreamAnswer } from "@letta-environments/http-cache";
import type { Sha256 } from "@letta-environments/platform";
import type { PlainResponse } from "@letta-environments/schema";
import { revalidated } from "../finish-response.ts";
import { parseJsonObject } from "../upstream/parse-json-object.ts";
import type { CacheWindow, CacheWindows } from "./cache-plan.ts";
import { weakEntityTag } from "./weak-entity-tag.ts";

/** An answer of the gateway as the cache is to see it: its windows, its groups, its tag. */
export function toUpstreamAnswer(
  response: PlainResponse,
  windows: CacheWindows,
  groups: readonly string[],
  sha256: Sha256,
): UpstreamAnswer {
  const { status, headers } = response;
  const body = typeof response.body === "string" ? new TextEncoder().encode(response.body) : (response.body ?? nothing);
  const window = windows.get(status);
  if (window === undefined) return { status, headers: { ...headers, "cache-control": "no-store" }, body };
  const value = status === 200 ? parseJsonObject(body) : null;
  return {
    status,
    headers: {
      ...headers,
      "cache-control": cacheControl(window),
      "cache-groups": groups.map((group) => `"${group}"`).join(", "),
      ...(value !== null && { etag: weakEntityTag(value, sha256) }),
    },
    body,
  };
}

/** An answer of the cache as the caller is to see it. A browser may keep it, if it asks each time; nothing in between may. */
export function toPlainResponse({ status, headers, body }: CacheAnswer, showsStatus: boolean): PlainResponse {
  const { "cache-groups": _groups, "cache-status": cacheStatus, ...shown } = headers;
  const isReusable = shown["etag"] !== undefined && (status === 200 || status === 304);
  return {
    status,
    headers: {
      ...shown,
      "cache-control": isReusable ? revalidated : "private, no-store",
      ...(showsStatus && cacheStatus !== undefined && { "cache-status": cacheStatus }),
    },
    body,
  };
}

function cacheControl({ freshSeconds, staleWhileRevalidateSeconds, staleIfErrorSeconds }: CacheWindow): string {
  return (
    `max-age=${freshSeconds}, stale-while-revalidate=${staleWhileRevalidateSeconds}, ` +
    `stale-if-error=${staleIfErrorSeconds}`
  );
}

const nothing = new Uint8Array();
