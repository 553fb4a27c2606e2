/** An entry as it is stored: the very text that was hashed. */
export interface AuditRecord {
  readonly writer: string;
  /** Counts the records of one writer, from 1. */
  readonly sequence: number;
  /** JSON of an `AuditEntry` with `writer`, `sequence` and `time` (epoch milliseconds). */
  readonly text: string;
  /** SHA-256, in hex, over the hash before it and the text. */
  readonly hash: string;
}

/** Where a chain ends, sealed under the pepper. */
export interface AuditHead {
  readonly writer: string;
  /** The place of the chain among all, from 1. */
  readonly ordinal: number;
  readonly sequence: number;
  readonly hash: string;
  readonly pepperId: string;
  readonly seal: string;
}

/** How many chains there are, sealed under the pepper, so that none can be taken away whole. */
export interface AuditDirectory {
  readonly count: number;
  readonly pepperId: string;
  readonly seal: string;
}

/** What a new chain begins with. */
export interface ChainStart {
  readonly record: AuditRecord;
  readonly head: AuditHead;
  readonly directory: AuditDirectory;
}

/** Everything that is stored, as it was at one moment. */
export interface AuditSnapshot {
  readonly directory: AuditDirectory | null;
  readonly heads: readonly AuditHead[];
  /** Every record, by writer, then by sequence. */
  readonly records: Iterable<AuditRecord>;
  /** The hash of a single record; `null` when it is not there. */
  hashAt(writer: string, sequence: number): string | null;
}

/** What there is when a chain is added. */
export interface PresentChains {
  readonly directory: AuditDirectory | null;
  readonly count: number;
  /** Ends that no chain has noted yet. */
  readonly unnoted: readonly AuditHead[];
}

/** Where audit records are written. Each method is atomic, and durable when its promise resolves; nothing is ever changed. */
export interface AuditChains {
  /** Adds a chain, which `begin` makes of what is there. The ends that it was given count as noted from then on. */
  open(begin: (present: PresentChains) => ChainStart): Promise<void>;
  /** Adds records to a chain, with its new head. Rejects, and stores nothing, when one is there already. */
  append(records: readonly AuditRecord[], head: AuditHead): Promise<void>;
  /** The head of a chain. */
  head(writer: string): Promise<AuditHead | null>;
}

/** Where audit records are kept, to be read again. */
export interface AuditStore extends AuditChains {
  /** Gives `read` everything as it is now, however long it takes. */
  snapshot<Result>(read: (snapshot: AuditSnapshot) => Result): Promise<Result>;
}
