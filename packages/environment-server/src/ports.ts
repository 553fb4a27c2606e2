/** The store of the server: rows of devices, their registrations, and the ids and outcomes of sends. Its logs are in `message-log.ts` and its neighbours. */
import type { DeviceLabels, EnvironmentMetadata, EnvironmentPatch } from "@letta-environments/schema";
import type { ApprovalLog } from "./approval-log.ts";
import type { ChangeLog } from "./change-log.ts";
import type { ConversationScope, MessageLog } from "./message-log.ts";

export type { ConversationScope } from "./message-log.ts";

/** Status that a device reports on its socket. `null`: not reported, or not representable in the API. */
export interface DeviceStatus {
  readonly currentMode: string | null;
  readonly workingDirectory: string | null;
  readonly gitBranch: string | null;
}

/** A stored device. It does not include whether the device is online, which depends on its socket. Times are epoch milliseconds. */
export interface EnvironmentRow extends DeviceStatus, DeviceLabels {
  readonly id: string;
  readonly tenant: string;
  readonly deviceId: string;
  readonly listenerInstanceId: string;
  readonly connectionName: string;
  readonly metadata: EnvironmentMetadata | null;
  /** Owner of the key with which the device registered last. */
  readonly owner: string;
  readonly firstSeenAt: number;
  readonly lastSeenAt: number;
}

/** A stored registration. */
export interface ConnectionRecord {
  readonly connectionId: string;
  /** Number of the registration within its row; a later registration has a higher number. */
  readonly generation: number;
  /** The key that registered. No other key may open the socket. */
  readonly keyId: string;
  /** The registration has opened its socket before. */
  readonly opened: boolean;
  /** A later registration of the same row has opened its socket; this one can never open again. */
  readonly replaced: boolean;
  /** No later registration of the same row exists. */
  readonly latest: boolean;
  readonly environment: EnvironmentRow;
}

/** A request to enrol a device. */
export interface Enrolment extends Pick<
  EnvironmentRow,
  "tenant" | "deviceId" | "listenerInstanceId" | "connectionName" | "metadata" | "owner"
> {
  readonly keyId: string;
  /** At its first enrolment, the key does not become the owner of the device. */
  readonly shared: boolean;
  /**
   * Name patterns (`matchesNamePattern`); `null` allows any name. When the device is known and belongs to no key, each of
   * its names must match one of them. Otherwise a key could gain access to somebody else's device by renaming it.
   */
  readonly knownNames: readonly string[] | null;
  /** Labels that the device gets, in addition to its own, if it belonged to no key and the key becomes its owner; `null`: none. */
  readonly labels: DeviceLabels | null;
  /** Id for the row, if it is created. */
  readonly environmentId: string;
  readonly connectionId: string;
  readonly nowMs: number;
  /** How many rows may have been registered last with this key. */
  readonly maxEnvironments: number;
}

/** Result of an enrolment. */
export type EnrolmentResult =
  | { readonly kind: "enrolled"; readonly environmentId: string }
  | { readonly kind: "owned_by_another_key" }
  | { readonly kind: "not_allowed" }
  | { readonly kind: "too_many_environments" };

/** The members of a row that access rules read. */
export type EnvironmentName = Pick<EnvironmentRow, "id" | "deviceId" | "connectionName" | "tags">;

/** A row of a device that has not connected for long. */
export type IdleEnvironment = EnvironmentName & Pick<EnvironmentRow, "tenant">;

/** Filter for the rows of a tenant. `null` means no restriction. */
export interface EnvironmentFilter {
  readonly tenant: string;
  /** Only rows whose id sorts after this one. */
  readonly afterId: string | null;
  readonly environmentIds: readonly string[] | null;
  readonly deviceIds: readonly string[] | null;
  readonly owner: string | null;
  readonly limit: number;
}

/** Rows and registrations. Each method is atomic, and durable when its promise resolves. */
export interface EnvironmentRows {
  /**
   * Stores a registration. The first enrolment of a deviceId in a tenant, regardless of its listenerInstanceId, determines
   * which key owns the device until it is released or removed. An enrolment by another key changes nothing.
   */
  enrol(enrolment: Enrolment): Promise<EnrolmentResult>;
  /** Finds a registration of a tenant by its connectionId. */
  findConnection(tenant: string, connectionId: string): Promise<ConnectionRecord | null>;
  /**
   * Records that a registration has opened its socket, which replaces the earlier registrations of its row. When it opens
   * for the first time, the row's status is cleared, because another process reported it.
   *
   * @param nowMs server time, by which the replaced registrations are forgotten
   * @param seenAtMs wall time
   */
  openConnection(connectionId: string, nowMs: number, seenAtMs: number): Promise<void>;
  /** Finds the rows of a device, one for each of its listeners, in no particular order. */
  findEnvironments(tenant: string, deviceId: string): Promise<readonly EnvironmentRow[]>;
  /** Lists the rows that match the filter, ordered by id. */
  listEnvironments(filter: EnvironmentFilter): Promise<readonly EnvironmentRow[]>;
  /** Like {@link EnvironmentRows.listEnvironments}, without reading the large members of a row. */
  listNames(filter: EnvironmentFilter): Promise<readonly EnvironmentName[]>;
  /** Finds rows that were seen last at a time or before it, the earliest first. */
  findIdleEnvironments(seenAtMs: number, limit: number): Promise<readonly IdleEnvironment[]>;
  /**
   * Removes rows and their registrations. A device whose last row is removed no longer has an owner. `prune` removes what
   * belongs to the rows.
   */
  removeEnvironments(environmentIds: readonly string[]): Promise<void>;
  saveStatus(environmentId: string, status: DeviceStatus): Promise<void>;
  /** Moves `lastSeenAt` forward; an earlier time than the stored one changes nothing. */
  saveLastSeen(times: readonly { readonly environmentId: string; readonly lastSeenAt: number }[]): Promise<void>;
}

/** A row, and the key that owns its device. */
export interface DeviceRow extends EnvironmentRow {
  /** `null`: no key owns the device; it is shared, or was released. */
  readonly ownerKeyId: string | null;
  /** The device was enrolled as shared, so every key of the tenant may enrol it. */
  readonly shared: boolean;
}

/** Selects rows for their administration. `null` means no restriction. */
export interface DeviceFilter {
  readonly tenant: string | null;
  readonly deviceId: string | null;
  /** Only rows whose id sorts after this one. */
  readonly afterId: string | null;
  readonly limit: number | null;
}

/** Decides on a change from all rows of the device, inside the store's transaction. */
export type PermitsChange = (rows: readonly DeviceRow[]) => boolean;

/** The administration of stored devices. Each method is atomic, and durable when its promise resolves. */
export interface DeviceRows {
  /** Lists the rows that match the filter, ordered by id. Their `metadata` is `null` unless the filter has both a tenant and a deviceId. */
  listDevices(filter: DeviceFilter): Promise<readonly DeviceRow[]>;
  /**
   * Ends the ownership of a device: the next key that enrols it owns it. Resolves with its rows before the change; `null` when
   * the device has no rows or the change is not permitted.
   */
  releaseDevice(tenant: string, deviceId: string, permits: PermitsChange): Promise<readonly DeviceRow[] | null>;
  /**
   * Removes a device: its rows, its connectionIds and its owner; with an `environmentId` only that row, and the owner if it was the
   * last one. Resolves like {@link DeviceRows.releaseDevice}, with the rows that are removed, which `permits` receives too. Call
   * {@link DeviceRows.finishRemoval} next.
   */
  removeDevice(
    tenant: string,
    deviceId: string,
    permits: PermitsChange,
    environmentId?: string | null,
  ): Promise<readonly DeviceRow[] | null>;
  /** Removes what belongs to rows that {@link DeviceRows.removeDevice} removed, in batches. Never rejects: after a failure, `prune` removes the rest. */
  finishRemoval(environmentIds: readonly string[]): Promise<void>;
  /** Changes the labels of all rows of a device. Resolves like {@link DeviceRows.releaseDevice}. */
  labelDevice(
    tenant: string,
    deviceId: string,
    patch: EnvironmentPatch,
    permits: PermitsChange,
  ): Promise<readonly DeviceRow[] | null>;
  /** Returns the connectionIds that are not stored, because their device was removed. */
  findRemovedConnections(connectionIds: readonly string[]): Promise<readonly string[]>;
  /** Returns a number that differs after another process has changed the store. Cheap, because it is read every second. */
  readVersion(): Promise<number>;
}

/** Outcome of a send. */
export type DeliveryOutcome =
  | { readonly kind: "accepted"; readonly disposition: string | null }
  | { readonly kind: "rejected"; readonly error: string | null }
  | { readonly kind: "unknown" };

/** A send whose ids are to be reserved. */
export interface Delivery {
  readonly id: string;
  readonly scope: ConversationScope;
  readonly messageIds: readonly string[];
  /** The ids that name messages of a caller, whose status is followed. Default: none. */
  readonly userMessageIds?: readonly string[];
  /** Digest of the content. */
  readonly fingerprint: string;
}

/** A message id that is in use, and the send that used it. */
export interface KnownMessage {
  readonly messageId: string;
  readonly deliveryId: string;
  readonly fingerprint: string;
  /** `null` while the outcome is not known. */
  readonly outcome: DeliveryOutcome | null;
}

/** The use of an id in a conversation. */
export interface MessageUse extends KnownMessage {
  readonly scope: ConversationScope;
  /** When the id was reserved, in server time. */
  readonly reservedAt: number;
}

/** A send whose outcome is missing or unknown. */
export interface UnresolvedDelivery extends Omit<ConversationScope, "environmentId"> {
  readonly deliveryId: string;
  readonly messageIds: readonly string[];
}

/** A row on which a conversation has run, and when it was last used there, in server time. */
export interface Run {
  readonly environmentId: string;
  readonly usedAt: number;
}

/** Message ids and outcomes. Each method is atomic, and durable when its promise resolves. */
export interface DeliveryLog {
  /** Returns the given ids that were used in the conversation and have not expired. */
  findMessages(
    scope: ConversationScope,
    messageIds: readonly string[],
    nowMs: number,
  ): Promise<readonly KnownMessage[]>;
  /** Returns the uses of an id in the conversations of a row that have not expired, of at most `limit` conversations. */
  findUses(environmentId: string, messageId: string, nowMs: number, limit: number): Promise<readonly MessageUse[]>;
  /** Reserves the ids of a send, all or none. Returns `false` when one of them is in use. */
  reserve(delivery: Delivery, nowMs: number): Promise<boolean>;
  /** Releases the ids of a send whose outcome is missing or unknown. */
  release(deliveryId: string): Promise<void>;
  /** Releases the ids of a send, whatever its outcome: for a decision that the device requests again. */
  forget(deliveryId: string): Promise<void>;
  /**
   * Stores an outcome and returns whether it did. `unknown` replaces nothing; `accepted` and `rejected` replace only `unknown`
   * or a missing outcome. The outcome of a send to another row is never stored.
   */
  settle(deliveryId: string, environmentId: string, outcome: DeliveryOutcome): Promise<boolean>;
  /** Returns the rows of a tenant that have accepted a message of a conversation, the latest first, at most `limit`. */
  findRuns(tenant: string, agentId: string, conversationId: string, limit: number): Promise<readonly Run[]>;
  /**
   * Returns the uses of ids by the last sends, to any row: those reserved less than `spanMs` before the latest one, without rejected and expired sends.
   * The latest come first, at most `limit`; a send that the limit would cut is left out.
   */
  findLastUses(nowMs: number, spanMs: number, limit: number): Promise<readonly MessageUse[]>;
  /** Returns the sends to a row that have not expired and whose outcome is missing or unknown, the latest first. */
  findUnresolved(environmentId: string, nowMs: number, maxMessages: number): Promise<readonly UnresolvedDelivery[]>;
}

/** By how much the wall clock was ahead of the server time (`time/stored-time.ts`), and since which server time, in milliseconds. */
export interface WallClockChange {
  readonly since: number;
  readonly aheadMs: number;
}

/** The server time up to which records may be stored, and the earlier changes of the wall clock, the earliest first. */
export interface SavedTime {
  readonly now: number;
  readonly changes: readonly WallClockChange[];
}

/** All stored data of an environment server. A `nowMs` is server time unless something else is said. */
export interface EnvironmentStore extends EnvironmentRows, DeviceRows, DeliveryLog, MessageLog, ApprovalLog, ChangeLog {
  /**
   * Removes message ids and replaced connectionIds that are older than the retention time, and what a process that was killed left of
   * removed rows, at most `limit` of each. Returns whether there may be more.
   */
  prune(nowMs: number, limit: number): Promise<boolean>;
  /** The stored server time; `null` before anything is stored. */
  readonly savedTime: SavedTime | null;
  saveTime(time: SavedTime): Promise<void>;
}
