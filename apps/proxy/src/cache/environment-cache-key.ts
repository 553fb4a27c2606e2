import { encodeKey } from "@letta-environments/http-cache";
import { buildPath, type Endpoint } from "@letta-environments/schema";
import type { VisibilityKey } from "./authorisation-view.ts";

/** Everything that a cached response depends on. Without any one part, a caller could get a response that is not meant for it. */
export interface EnvironmentCacheKey {
  readonly upstream: string;
  readonly tenant: string;
  readonly visibility: VisibilityKey;
  /** Digest of the upstream credential, because another credential may belong to another account. */
  readonly credential: string;
  readonly endpoint: Endpoint;
  readonly params: Readonly<Record<string, string>>;
  /** The query that is sent to the upstream, including unknown parameters. */
  readonly query: string;
}

/** Encodes the key for the cache. The order of query parameters does not matter. */
export function cacheKeyOf(key: EnvironmentCacheKey): string {
  const query = new URLSearchParams(key.query);
  query.sort();
  const resource = `${buildPath(key.endpoint, key.params)}?${query.toString()}`;
  return encodeKey([key.upstream, key.tenant, key.visibility, key.credential, resource]);
}

/** The key of a group of a tenant's responses. It does not contain the visibility, so invalidating it reaches all callers. */
export function groupKeyOf(upstream: string, tenant: string, group: string): string {
  return encodeKey([upstream, tenant, group]);
}
