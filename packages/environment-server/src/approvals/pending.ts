/**
 * The pending requests for permission of all devices, in memory, without a clock or a store. Requests beyond a limit are not remembered, so that no
 * device can displace the requests of another connected device. When a key reaches its limit, a request of a connected device displaces the oldest one
 * of its disconnected devices. When all slots are taken, the tenant with the most requests loses one.
 */
import {
  type ApprovalKey,
  type ApprovalRequest,
  type Decision,
  keyOf,
  serialiseKey,
  type StoredApproval,
} from "../approval-log.ts";
import { type Conversation, isSameConversation } from "../dialects/conversation.ts";
import { createGroups } from "../collections.ts";
import { maxApprovals, maxApprovalsPerDevice, maxApprovalsPerKey } from "../limits.ts";

/** A decision that was sent to the device and has no outcome yet. */
export interface SentDecision {
  readonly deliveryId: string;
  readonly decision: Decision;
  /** Its turn has ended since. */
  readonly isTurnOver: boolean;
  /** The device no longer asks. */
  readonly isWithdrawn: boolean;
  /** The other thing that the device has asked for since, under the same id; `null` if nothing. */
  readonly replacement: ReportedRequest | null;
}

/** A request as it was reported last. */
export interface ReportedRequest {
  readonly request: ApprovalRequest;
  /** The device asked in a separate frame. Otherwise a status lists the request. */
  readonly hasRequestFrame: boolean;
}

/** A request for permission that has no outcome yet. */
export interface PendingApproval {
  /** Replaced when the message of its turn becomes known. Its ids stay. */
  approval: StoredApproval;
  /** Whose limit it counts towards, such as the key of the device. */
  readonly owner: string;
  /** Its place in lists: when it was requested, then by its ids. */
  cursor: ApprovalCursor;
  /** `null` while it is undecided. */
  sent: SentDecision | null;
  /** It was reported in the events of this process, because its device asked here. */
  isReported: boolean;
  /** Its device has asked in a frame that comes after the ends of earlier turns. A status that lists it can be early. */
  hasRequestFrame: boolean;
  /** Sequence number of the request that is pending now, counted over all devices. A count, not a time. */
  sequence: number;
}

/** A place in the list of all requests. */
export interface ApprovalCursor {
  readonly requestedAt: number;
  readonly digest: string;
}

export interface PendingApprovals {
  /** Adds a request. Another one may be evicted for it. Returns `null` when a limit is reached. */
  add(approval: StoredApproval, owner: string, digest: string): PendingApproval | null;
  find(key: ApprovalKey): PendingApproval | undefined;
  findSent(environmentId: string, deliveryId: string): PendingApproval | undefined;
  /** The requests of a conversation, the oldest first. */
  ofConversation(environmentId: string, conversation: Conversation): readonly PendingApproval[];
  ofEnvironment(environmentId: string): readonly PendingApproval[];
  /** The undecided requests of a tenant in the order of their cursors. */
  ofTenant(tenant: string): readonly PendingApproval[];
  /** The number of undecided requests of all tenants. */
  countUndecided(): number;
  remove(entry: PendingApproval): void;
  /** Requests of devices that are not connected are evicted first. Initially, no device is connected. */
  setConnected(environmentId: string, isConnected: boolean): void;
  /** Whether a row has no room for another request. */
  isFull(environmentId: string, owner: string): boolean;
}

/** Creates {@link PendingApprovals}. It calls `onEvicted` with each request that it has removed to make room. */
export function createPendingApprovals({
  onEvicted = () => undefined,
  max = maxApprovals,
}: {
  readonly onEvicted?: (entry: PendingApproval) => void;
  readonly max?: number;
} = {}): PendingApprovals {
  const rows = createGroups(({ approval }: PendingApproval) => serialiseKey(keyOf(approval)));
  const perOwner = createGroups<PendingApproval>();
  const shares = createTenantShares();
  let count = 0;

  /** Finds a slot for another request of a row: a free one, or the slot of a request of the same key whose device is disconnected. */
  function findSlot(environmentId: string, owner: string): "free" | PendingApproval | null {
    if (rows.sizeOf(environmentId) >= maxApprovalsPerDevice) return null;
    if (perOwner.sizeOf(owner) < maxApprovalsPerKey) return "free";
    return shares.isConnected(environmentId) ? shares.oldestDisconnected(perOwner.of(owner)) : null;
  }

  function remove(entry: PendingApproval): void {
    const { approval, owner } = entry;
    if (!rows.delete(approval.scope.environmentId, serialiseKey(keyOf(approval)))) return;
    perOwner.delete(owner, entry);
    shares.delete(entry);
    count -= 1;
  }

  return {
    isFull: (environmentId, owner) => findSlot(environmentId, owner) === null,
    ofEnvironment: rows.of,
    remove,
    add(approval, owner, digest) {
      const { scope, requestedAt } = approval;
      const slot = findSlot(scope.environmentId, owner);
      if (slot === null) return null;
      if (slot !== "free") {
        remove(slot);
        onEvicted(slot);
      }
      const entry: PendingApproval = {
        approval,
        owner,
        cursor: { requestedAt, digest },
        sent: null,
        isReported: false,
        hasRequestFrame: false,
        sequence: 0,
      };
      rows.add(scope.environmentId, entry);
      perOwner.add(owner, entry);
      shares.add(entry);
      count += 1;
      if (count <= max) return entry;
      const excess = shares.excess(entry);
      remove(excess);
      if (excess === entry) return null;
      onEvicted(excess);
      return entry;
    },
    find: (key) => rows.find(key.scope.environmentId, serialiseKey(key)),
    findSent: (environmentId, deliveryId) =>
      rows.of(environmentId).find(({ sent }) => sent !== null && sent.deliveryId === deliveryId),
    ofConversation: (environmentId, conversation) =>
      rows.of(environmentId).filter(({ approval }) => isSameConversation(approval.scope, conversation)),
    ofTenant(tenant) {
      const pending = shares.ofTenant(tenant).filter(({ sent }) => sent === null);
      return pending.toSorted((left, right) => compareCursors(left.cursor, right.cursor));
    },
    countUndecided: () => shares.countUndecided(),
    setConnected: (environmentId, isConnected) =>
      shares.setConnected(environmentId, isConnected, rows.of(environmentId)),
  };
}

/** Orders cursors; negative when the first one is before the second. */
export function compareCursors(left: ApprovalCursor, right: ApprovalCursor): number {
  if (left.requestedAt !== right.requestedAt) return left.requestedAt - right.requestedAt;
  if (left.digest === right.digest) return 0;
  return left.digest < right.digest ? -1 : 1;
}

/**
 * The requests by tenant. A tenant with many does not displace another's, and requests of disconnected devices are evicted before any
 * that can be decided.
 */
function createTenantShares() {
  const all = createGroups<PendingApproval>();
  const disconnected = createGroups<PendingApproval>();
  const connectedRows = new Set<string>();

  function add(request: PendingApproval): void {
    const { tenant, scope } = request.approval;
    all.add(tenant, request);
    if (!connectedRows.has(scope.environmentId)) disconnected.add(tenant, request);
  }

  function remove(request: PendingApproval): void {
    for (const requests of [all, disconnected]) requests.delete(request.approval.tenant, request);
  }

  return {
    add,
    delete: remove,
    ofTenant: all.of,
    countUndecided: (): number =>
      all
        .names()
        .flatMap(all.of)
        .filter(({ sent }) => sent === null).length,
    isConnected: (environmentId: string): boolean => connectedRows.has(environmentId),
    /** Records whether the device of these requests is connected. At first, no device is. */
    setConnected(environmentId: string, isConnected: boolean, requests: readonly PendingApproval[]): void {
      if (connectedRows.has(environmentId) === isConnected) return;
      if (isConnected) connectedRows.add(environmentId);
      else connectedRows.delete(environmentId);
      for (const request of requests) {
        remove(request);
        add(request);
      }
    },
    /** The oldest pending request of a device that is not connected; `null` if there is none. */
    oldestDisconnected: (requests: Iterable<PendingApproval>): PendingApproval | null =>
      oldestPending(requests, ({ approval }) => !connectedRows.has(approval.scope.environmentId)),
    /**
     * Returns the request to evict after this one exceeded the limit. It belongs to the tenant with the most: the oldest of a device that is not
     * connected, else the added one, else the oldest of all. A request whose decision was sent stays.
     */
    excess(added: PendingApproval): PendingApproval {
      const { tenant } = added.approval;
      const largest = all.largest() ?? tenant;
      const oldestOfDisconnected = oldestPending(disconnected.of(largest));
      return oldestOfDisconnected ?? (largest === tenant ? added : (oldestPending(all.of(largest)) ?? added));
    },
  };
}

/** Searches all requests, whose number is limited: a set has the order of connections, not of requests. */
function oldestPending(
  requests: Iterable<PendingApproval>,
  matches: (request: PendingApproval) => boolean = () => true,
): PendingApproval | null {
  let oldest: PendingApproval | null = null;
  for (const request of requests) {
    const isOlder = oldest === null || request.approval.requestedAt < oldest.approval.requestedAt;
    if (isOlder && request.sent === null && matches(request)) oldest = request;
  }
  return oldest;
}
