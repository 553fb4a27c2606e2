/**
 * The port of the store that remembers sends to a remote upstream. A send is reserved before it leaves, and its result is kept for
 * {@link retentionMs}, so that a repeat receives the first result. Nothing is evicted early: a full store refuses new sends.
 */
import { messageRetentionMs, type PlainResponse } from "@letta-environments/schema";

/** How long ids, results and connections are remembered, in milliseconds. */
export const retentionMs: number = messageRetentionMs;

/** The conversation in which an id is unique, within a tenant and a row of the upstream's list. */
export interface SendScope {
  readonly tenant: string;
  /** The `id` of the row behind the connection. Unlike a `connectionId`, it stays the same when the device registers again. */
  readonly environmentId: string;
  /** Empty for a conversation without an agent. */
  readonly agentId: string;
  readonly conversationId: string;
}

/** One id of a send: a `client_message_id`, the tool call or the request of a decision, or the `Idempotency-Key`. */
export interface SendEntry {
  /** Unique in the scope. A prefix keeps the kinds apart. */
  readonly id: string;
  /** Digest of the content that the id stands for. */
  readonly fingerprint: string;
}

/** The device behind a connection, as it was when a send to it was reserved. */
export interface KnownConnection {
  readonly environmentId: string;
  readonly deviceId: string;
  readonly connectionName: string;
  /** Absent without tags, and in records of earlier versions. */
  readonly tags?: readonly string[];
}

/** A send whose ids are to be reserved. */
export interface Reservation {
  /** Names this attempt. */
  readonly sendId: string;
  readonly scope: SendScope;
  readonly entries: readonly SendEntry[];
  readonly connectionId: string;
  readonly connection: KnownConnection;
  /** After this time without a result, the outcome counts as unknown, because the process that sent it has ended. In milliseconds. */
  readonly leaseMs: number;
}

/** The stored result of a send: the response that its caller received. */
export type SendResult = Pick<PlainResponse, "status" | "headers"> & { readonly body: string };

/** An id that is in use, and the send that used it. */
export interface KnownEntry extends SendEntry {
  readonly sendId: string;
  /** `in_progress`: the lease has not ended. `unknown`: it ended without a result. */
  readonly state:
    | { readonly kind: "in_progress" }
    | { readonly kind: "finished"; readonly result: SendResult }
    | { readonly kind: "unknown" };
}

export type ReserveOutcome =
  | {
      readonly kind: "reserved";
      /** `recordStart` was called in the transaction of the reservation. */
      readonly isRecorded?: true;
    }
  /** At least one id is in use, and nothing was reserved. Contains the ids that are in use. */
  | { readonly kind: "known"; readonly entries: readonly KnownEntry[] }
  /** The store is full, and nothing was reserved. */
  | { readonly kind: "full" };

/**
 * Remembers sends. Each method is atomic and durable when its promise resolves, and rejects with {@link IdempotencyUnavailableError}
 * when the store fails. Times are the store's own, measured so that no change of the wall clock makes an open store forget anything.
 */
export interface IdempotencyStore {
  /**
   * Reserves all ids of a send or none. Remembers the connection also when ids are in use, as far as there is room: a repeat may come through a
   * new connection of its device.
   *
   * @param recordStart Adds the start of the send to the audit log, in the same transaction. Only a store in the log's file can call
   * it, and reports that in the outcome. It may be called again after a transaction was rolled back.
   */
  reserve(reservation: Reservation, recordStart?: () => void): Promise<ReserveOutcome>;
  /** Returns the ids that are in use. */
  find(scope: SendScope, ids: readonly string[]): Promise<readonly KnownEntry[]>;
  /** Stores the result of a send. A stored result is not replaced, and a released send stays released. */
  settle(reservation: Reservation, result: SendResult): Promise<void>;
  /**
   * Releases the ids of a send that was not delivered. Ids of another send, and ids with a result, are kept. If none is reserved, its reservation may
   * still be on its way, and rejects when it arrives.
   */
  release(reservation: Reservation): Promise<void>;
  /** Returns the device behind a connection to which something was sent, or sent again; `null` when none is remembered. */
  findConnection(tenant: string, connectionId: string): Promise<KnownConnection | null>;
}

/** JSON separates the parts whatever they contain, and escapes NUL and lone surrogates, which SQLite texts cannot hold. */
export function keyOfId({ tenant, environmentId, agentId, conversationId }: SendScope, id: string): string {
  return JSON.stringify([tenant, environmentId, agentId, conversationId, id]);
}

/** The key of a connection, in the same form. */
export function keyOfConnection(tenant: string, connectionId: string): string {
  return JSON.stringify([tenant, connectionId]);
}

/** The store could not be reached, or did not finish in time. The operation may have been carried out. */
export class IdempotencyUnavailableError extends Error {
  override readonly name = "IdempotencyUnavailableError";

  constructor(cause: unknown) {
    super("the store of sends cannot be used", { cause });
  }
}

/** Translates a failure of a store. */
export function throwUnavailable(cause: unknown): never {
  throw new IdempotencyUnavailableError(cause);
}
