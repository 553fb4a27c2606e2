import { encodeKey } from "@letta-environments/http-cache";
import { buildPath, type Endpoint } from "@letta-environments/schema";
import type { AuthorisationView } from "./authorisation-view.ts";

/** Where a cached answer belongs. No part can be left out: without one of them somebody would get another's answer. */
export interface EnvironmentCacheKey {
  readonly upstream: string;
  readonly tenant: string;
  readonly view: AuthorisationView;
  /** Digest of the credential with which the upstream is asked: another one may be another account's. */
  readonly credential: string;
  readonly endpoint: Endpoint;
  readonly params: Readonly<Record<string, string>>;
  /** As it goes on to the upstream, unknown members included. */
  readonly query: string;
}

/** A key as the cache takes it. */
export function cacheKeyOf(key: EnvironmentCacheKey): string {
  const query = new URLSearchParams(key.query);
  query.sort();
  const resource = `${buildPath(key.endpoint, key.params)}?${query.toString()}`;
  return encodeKey([key.upstream, key.tenant, key.view, key.credential, resource]);
}

/** A group of a tenant's answers: it reaches every view of them. */
export function groupKeyOf(upstream: string, tenant: string, group: string): string {
  return encodeKey([upstream, tenant, group]);
}
