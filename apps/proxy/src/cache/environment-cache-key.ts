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

/** A key as the cache takes it: the partition is the tenant at its upstream, so that a group reaches every view of it. */
export function toCacheTarget(key: EnvironmentCacheKey): {
  readonly url: string;
  readonly partition: readonly string[];
} {
  const query = new URLSearchParams(key.query);
  query.sort();
  const resource = `${buildPath(key.endpoint, key.params)}?${query.toString()}`;
  return {
    url: `${origin}/${key.view}/${key.credential}${resource}`,
    partition: partitionOf(key.upstream, key.tenant),
  };
}

/** What every key of a tenant shares. */
export function partitionOf(upstream: string, tenant: string): readonly string[] {
  return [upstream, tenant];
}

/** Nobody's: keys are no addresses. */
export const origin = "https://cache.invalid";
