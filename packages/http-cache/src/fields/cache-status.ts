/** Why a request went past the cache (RFC 9211, 2.2). */
export type ForwardReason = "bypass" | "method" | "uri-miss" | "vary-miss" | "request" | "stale";

/** What one entry of `Cache-Status` tells. */
export interface CacheStatus {
  readonly forward: ForwardReason;
  /** Status of the upstream's answer; `null` when there was none. */
  readonly forwardStatus: number | null;
  /** Freshness that is left, in whole seconds; negative when stale, `null` when nothing was stored. */
  readonly ttlSeconds: number | null;
  readonly isStored: boolean;
  /** True when another request's answer was used, false when that was tried in vain; `null` when there was no other request. */
  readonly isCollapsed: boolean | null;
  /** A token. */
  readonly detail: string | null;
}

/** An entry for a request that was forwarded, in the order of RFC 9211, 2. */
export function formatCacheStatus(name: string, status: CacheStatus): string {
  const { forward, forwardStatus, ttlSeconds, isStored, isCollapsed, detail } = status;
  let entry = `${name}; fwd=${forward}`;
  if (forwardStatus !== null) entry += `; fwd-status=${forwardStatus}`;
  if (ttlSeconds !== null) entry += `; ttl=${ttlSeconds}`;
  if (isStored) entry += "; stored";
  if (isCollapsed !== null) entry += isCollapsed ? "; collapsed" : "; collapsed=?0";
  return detail === null ? entry : `${entry}; detail=${detail}`;
}

/** The field with our entry behind those of the caches that are nearer to the origin. */
export function appendCacheStatus(received: string | undefined, entry: string): string {
  return received === undefined || received === "" ? entry : `${received}, ${entry}`;
}
