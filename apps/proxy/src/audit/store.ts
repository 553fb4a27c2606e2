/**
 * The port of audit storage. Each process (writer) appends to its own hash chain; each chain has a sealed head, and a sealed
 * directory counts the chains. Nothing stored is ever changed.
 */
import { ChangeRefusedError, problemResponse } from "@letta-environments/schema";

/** A stored entry, with the exact text that was hashed. */
export interface AuditRecord {
  readonly writer: string;
  /** Counts the records of one writer, from 1. */
  readonly sequence: number;
  /** JSON of an `AuditEntry` with `writer`, `sequence` and `time` (epoch milliseconds). */
  readonly text: string;
  /** SHA-256, in hex, over the hash of the record before and the text. */
  readonly hash: string;
}

/** The end of a chain, sealed under the pepper. */
export interface AuditHead {
  readonly writer: string;
  /** The number of the chain, from 1. */
  readonly ordinal: number;
  readonly sequence: number;
  readonly hash: string;
  readonly pepperId: string;
  readonly seal: string;
}

/** The number of chains, sealed under the pepper, so that no whole chain can be removed unnoticed. */
export interface AuditDirectory {
  readonly count: number;
  readonly pepperId: string;
  readonly seal: string;
}

/**
 * The end of the records that retention has dropped from a chain, sealed under the pepper. What follows is verified from there. A chain whose
 * records were all dropped has its head here too.
 */
export interface DroppedRecords extends AuditHead {
  /** Whether the last of them was `writer_closed`. */
  readonly closed: boolean;
}

/** The first record of a new chain, its head and the new directory. */
export interface ChainStart {
  readonly record: AuditRecord;
  readonly head: AuditHead;
  readonly directory: AuditDirectory;
}

/** Everything that is stored, at one moment. */
export interface AuditSnapshot {
  readonly directory: AuditDirectory | null;
  readonly heads: readonly AuditHead[];
  /** The ends of the records that retention has dropped; absent where none are ever dropped. */
  readonly dropped?: readonly DroppedRecords[];
  /** Every record, by writer, then by sequence. */
  readonly records: Iterable<AuditRecord>;
  /** The hash of a single record; `null` when the record does not exist. */
  hashAt(writer: string, sequence: number): string | null;
}

/** The chains that exist when one is added. */
export interface PresentChains {
  readonly directory: AuditDirectory | null;
  readonly count: number;
  /** Heads that no later chain has noted. */
  readonly unnoted: readonly AuditHead[];
}

/** The writing side of audit storage. Every call is made inside a write transaction of a group commit. */
export interface AuditChains {
  /** Adds the chain that `begin` returns, and returns its head. The heads that `begin` received count as noted afterwards. */
  open(begin: (present: PresentChains) => ChainStart): AuditHead;
  /** Appends a record to a chain. Throws when it exists already. */
  insert(record: AuditRecord): void;
  /** Replaces the head of a chain. */
  saveHead(head: AuditHead): void;
  /** Returns the head of a chain; `null` when it has none. */
  head(writer: string): AuditHead | null;
}

/** The reading side of audit storage. */
export interface AuditStore {
  /** Calls `read` with a snapshot, which stays consistent until `read` returns. */
  snapshot<Result>(read: (snapshot: AuditSnapshot) => Result): Promise<Result>;
}

/** An entry could not be stored, so the action that it would record is not performed. */
export class AuditUnavailableError extends ChangeRefusedError {
  override readonly name = "AuditUnavailableError";
  override readonly message = "the audit log cannot be written";

  constructor(cause: unknown) {
    super(problemResponse("audit_unavailable"), { cause });
  }
}
