import type { EnvironmentMetadata } from "@letta-environments/schema";

/** What a device says of itself on its socket; `null` where it says nothing that the API can show. */
export interface DeviceStatus {
  readonly currentMode: string | null;
  readonly workingDirectory: string | null;
  readonly gitBranch: string | null;
}

/** A device as it is stored. Whether it is online is not: that is a fact about a socket. Times are epoch milliseconds. */
export interface EnvironmentRow extends DeviceStatus {
  readonly id: string;
  readonly tenant: string;
  readonly deviceId: string;
  readonly listenerInstanceId: string;
  readonly connectionName: string;
  readonly metadata: EnvironmentMetadata | null;
  /** Who holds the key with which the device registered last. */
  readonly owner: string;
  readonly firstSeenAt: number;
  readonly lastSeenAt: number;
}

/** A registration, as it is stored. */
export interface ConnectionRecord {
  readonly connectionId: string;
  /** Counts the registrations of one row; a later one has a higher number. */
  readonly generation: number;
  /** The key that registered, and the only one that may open the socket. */
  readonly keyId: string;
  /** The registration has opened its socket before. */
  readonly opened: boolean;
  /** A later registration of the same row has opened its socket; this one can never open again. */
  readonly replaced: boolean;
  /** No later registration of the same row exists. */
  readonly latest: boolean;
  readonly environment: EnvironmentRow;
}

/** A device that asks to be enrolled. */
export interface Enrolment {
  readonly tenant: string;
  readonly deviceId: string;
  readonly listenerInstanceId: string;
  readonly connectionName: string;
  readonly metadata: EnvironmentMetadata | null;
  readonly keyId: string;
  readonly owner: string;
  /** The device is not to belong to the key, if this is its first enrolment. */
  readonly shared: boolean;
  /**
   * Patterns (`matchesNamePattern`). When the device is known and belongs to no key, each name that it has must match one, or
   * a key could rename a device of others into its own reach; `null` asks nothing.
   */
  readonly knownNames: readonly string[] | null;
  /** Id of the row, if it is a new one. */
  readonly environmentId: string;
  readonly connectionId: string;
  readonly nowMs: number;
  readonly maxEnvironments: number;
}

/** What became of an enrolment. */
export type EnrolmentResult =
  | { readonly kind: "enrolled"; readonly environmentId: string }
  | { readonly kind: "owned_by_another_key" }
  | { readonly kind: "not_allowed" }
  | { readonly kind: "too_many_environments" };

/** Which rows of a tenant a list asks for; `null` restricts nothing. */
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
   * Stores a registration. The first enrolment of a deviceId in a tenant, whatever its listenerInstanceId, decides for good
   * which key the device belongs to; an enrolment by another key changes nothing.
   */
  enrol(enrolment: Enrolment): Promise<EnrolmentResult>;
  /** Finds a registration by its connectionId; another tenant's is `null`. */
  findConnection(tenant: string, connectionId: string): Promise<ConnectionRecord | null>;
  /**
   * Marks that a registration has opened its socket, which replaces the earlier ones of its row. When it had not been opened
   * before, the row's status is cleared: it was that of another process.
   */
  openConnection(connectionId: string, nowMs: number): Promise<void>;
  /** The rows of a device of a tenant: its listeners, in no order. */
  findEnvironments(tenant: string, deviceId: string): Promise<readonly EnvironmentRow[]>;
  /** Rows that pass the filter, ordered by id. */
  listEnvironments(filter: EnvironmentFilter): Promise<readonly EnvironmentRow[]>;
  saveStatus(environmentId: string, status: DeviceStatus): Promise<void>;
  /** Moves `lastSeenAt` forward; an earlier time than the stored one changes nothing. */
  saveLastSeen(times: readonly { readonly environmentId: string; readonly lastSeenAt: number }[]): Promise<void>;
}

/** What is known about the fate of a send. */
export type DeliveryOutcome =
  | { readonly kind: "accepted"; readonly disposition: string | null }
  | { readonly kind: "rejected"; readonly error: string | null }
  | { readonly kind: "unknown" };

/** The conversation on a device to which message ids belong. */
export interface ConversationScope {
  readonly environmentId: string;
  /** Empty for a conversation without an agent. */
  readonly agentId: string;
  readonly conversationId: string;
}

/** A send that is about to happen. */
export interface Delivery {
  readonly id: string;
  readonly scope: ConversationScope;
  readonly messageIds: readonly string[];
  /** Digest of everything the device would be sent. */
  readonly fingerprint: string;
}

/** A message id that was used before, and the send that used it. */
export interface KnownMessage {
  readonly messageId: string;
  readonly deliveryId: string;
  readonly fingerprint: string;
  /** `null` while nothing is known. */
  readonly outcome: DeliveryOutcome | null;
}

/** Message ids and their results. Each method is atomic, and durable when its promise resolves. */
export interface DeliveryLog {
  /** Those of the given ids that were used in the conversation and are still kept. */
  findMessages(
    scope: ConversationScope,
    messageIds: readonly string[],
    nowMs: number,
  ): Promise<readonly KnownMessage[]>;
  /** Takes the ids for a send, all or none: `false` when one of them is taken. */
  reserve(delivery: Delivery, nowMs: number): Promise<boolean>;
  /** Gives the ids of a send without an outcome back, since nothing was sent. */
  release(deliveryId: string): Promise<void>;
  /**
   * Stores an outcome. What a device said once stays: `unknown` never replaces anything, and `accepted` or `rejected` replace
   * only nothing or `unknown`. Tells whether it was stored; a send to another row never is.
   */
  settle(deliveryId: string, environmentId: string, outcome: DeliveryOutcome): Promise<boolean>;
}

/** Everything the environment server keeps. */
export interface EnvironmentStore extends EnvironmentRows, DeliveryLog {
  /** Forgets message ids and replaced connectionIds older than the retention time. */
  prune(nowMs: number): Promise<void>;
}
