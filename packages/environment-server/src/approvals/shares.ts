/**
 * The requests for permission that are remembered, by tenant: whose request is given up when there are too many. A tenant with many does not
 * push out those of another, and a request of a device that is gone goes before one that can be decided now.
 */
import type { StoredApproval } from "../approval-log.ts";

/** The members of a request that decide its place. */
interface SharedRequest {
  readonly approval: Pick<StoredApproval, "tenant" | "scope" | "requestedAt">;
  /** Its decision, when it was sent; `null` while it is undecided. */
  readonly sent: object | null;
}

/** The requests of each tenant. */
export interface TenantShares<Request extends SharedRequest> {
  add(request: Request): void;
  delete(request: Request): void;
  ofTenant(tenant: string): readonly Request[];
  /** Records whether the device of these requests is connected. At first, no device is. */
  setConnected(environmentId: string, isConnected: boolean, requests: readonly Request[]): void;
  isConnected(environmentId: string): boolean;
  /** The oldest pending request of a device that is not connected; `null` without one. */
  oldestGone(requests: Iterable<Request>): Request | null;
  /**
   * The request to give up after this one was added, which was one too many. It is one of the tenant with the most: the oldest of a device that is
   * not connected, else the added one, else the oldest of all. A request whose decision was sent stays.
   */
  excess(added: Request): Request;
}

/** The requests of a tenant. */
interface Share<Request> {
  readonly connected: Set<Request>;
  readonly disconnected: Set<Request>;
}

/** Creates {@link TenantShares}. */
export function createTenantShares<Request extends SharedRequest>(): TenantShares<Request> {
  const shares = new Map<string, Share<Request>>();
  const connectedRows = new Set<string>();

  function add(request: Request): void {
    const { tenant, scope } = request.approval;
    const share = shares.get(tenant) ?? { connected: new Set(), disconnected: new Set() };
    shares.set(tenant, share);
    (connectedRows.has(scope.environmentId) ? share.connected : share.disconnected).add(request);
  }

  function remove(request: Request): void {
    const { tenant } = request.approval;
    const share = shares.get(tenant);
    if (share === undefined) return;
    share.connected.delete(request);
    share.disconnected.delete(request);
    if (sizeOf(share) === 0) shares.delete(tenant);
  }

  return {
    add,
    delete: remove,
    ofTenant(tenant) {
      const { connected = [], disconnected = [] } = shares.get(tenant) ?? {};
      return [...connected, ...disconnected];
    },
    setConnected(environmentId, isConnected, requests) {
      if (connectedRows.has(environmentId) === isConnected) return;
      if (isConnected) connectedRows.add(environmentId);
      else connectedRows.delete(environmentId);
      for (const request of requests) {
        remove(request);
        add(request);
      }
    },
    isConnected: (environmentId) => connectedRows.has(environmentId),
    oldestGone: (requests) =>
      oldestPending(requests, ({ approval }) => !connectedRows.has(approval.scope.environmentId)),
    excess(added) {
      let largest: Share<Request> | undefined;
      for (const share of shares.values())
        if (largest === undefined || sizeOf(share) > sizeOf(largest)) largest = share;
      if (largest === undefined) return added;
      const isOwn = largest.connected.has(added) || largest.disconnected.has(added);
      const gone = oldestPending(largest.disconnected);
      return gone ?? (isOwn ? added : (oldestPending(largest.connected) ?? added));
    },
  };
}

/** A search of all, which limits bound: the order in a set is that of connections, not that of the requests. */
function oldestPending<Request extends SharedRequest>(
  requests: Iterable<Request>,
  matches: (request: Request) => boolean = () => true,
): Request | null {
  let oldest: Request | null = null;
  for (const request of requests) {
    const isOlder = oldest === null || request.approval.requestedAt < oldest.approval.requestedAt;
    if (isOlder && request.sent === null && matches(request)) oldest = request;
  }
  return oldest;
}

function sizeOf({ connected, disconnected }: Share<unknown>): number {
  return connected.size + disconnected.size;
}
