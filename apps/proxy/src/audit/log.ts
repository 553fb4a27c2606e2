/**
 * The audit log of one process: its own hash chain, whose end is sealed under the pepper. Entries that arrive together are
 * committed together, with the other changes of the file.
 */
import type { Clock, GroupCommit } from "@letta-environments/platform";
import type { AuditEntry } from "./entry.ts";
import { type AuditChains, AuditUnavailableError } from "./store.ts";
import {
  type AuditCheckpoint,
  emptyChain,
  isDirectorySealed,
  linkRecord,
  sealDirectory,
  sealHead,
  type Sealing,
} from "./chain.ts";

/** An audit log that accepts entries. */
export interface AuditLog {
  /** Resolves when the entry is durable; rejects with {@link AuditUnavailableError} when it could not be stored. */
  append(entry: AuditEntry): Promise<void>;
  /** Appends an entry in the running transaction of the log's file, so that both are committed together. Absent where that is impossible. */
  appendInTransaction?(entry: AuditEntry): void;
}

/** An {@link AuditLog} of this process. */
export interface OpenAuditLog extends Required<AuditLog> {
  /** The end of the chain now. Stored elsewhere, it later proves that no record before it was removed. */
  checkpoint(): AuditCheckpoint;
  /** Stores the waiting entries and `writer_closed`. Later entries are rejected. */
  close(): Promise<void>;
}

/** Options of {@link openAuditLog}. */
export interface AuditLogOptions extends Sealing {
  readonly store: AuditChains;
  readonly transactions: GroupCommit;
  readonly clock: Pick<Clock, "now">;
  /** The unique name of this process. */
  readonly writer: string;
  readonly version: string;
}

/** Begins a chain. Rejects when it cannot be stored. */
export async function openAuditLog(options: AuditLogOptions): Promise<OpenAuditLog> {
  const { store, transactions, clock } = options;
  let end = await transactions.write(() => beginChain(options));
  /** The end of the chain in the running transaction, once it has an entry. */
  let next: AuditCheckpoint | null = null;
  /** The end that a failed transaction may have stored. */
  let uncertain: AuditCheckpoint | null = null;
  let isClosed = false;

  transactions.addHooks({
    begin() {
      next = null;
    },
    complete() {
      if (next !== null) store.saveHead(sealHead(next, options));
    },
    settled(isCommitted) {
      if (next === null) return;
      if (isCommitted) end = next;
      uncertain = isCommitted ? null : next;
      next = null;
    },
  });

  function link(entry: AuditEntry): void {
    const previous = next ?? recover();
    const record = linkRecord(previous, entry, clock.now(), options);
    store.insert(record);
    next = { ...previous, sequence: record.sequence, hash: record.hash };
  }

  /** Returns the end that is stored. After a failed commit, the stored head shows whether the commit was made. */
  function recover(): AuditCheckpoint {
    if (uncertain === null) return end;
    const stored = store.head(end.writer);
    if (stored?.hash === uncertain.hash) end = uncertain;
    else if (stored?.hash !== end.hash)
      throw new Error("the audit chain of this process was changed by another process");
    uncertain = null;
    return end;
  }

  async function append(entry: AuditEntry): Promise<void> {
    if (isClosed) throw new AuditUnavailableError("the log is closed");
    try {
      await transactions.write(() => link(entry));
    } catch (cause) {
      throw new AuditUnavailableError(cause);
    }
  }

  return {
    append,
    appendInTransaction(entry) {
      if (isClosed) throw new AuditUnavailableError("the log is closed");
      link(entry);
    },
    checkpoint: () => end,
    async close() {
      const closing = append({ type: "writer_closed" });
      isClosed = true;
      await closing;
    },
  };
}

function beginChain(options: AuditLogOptions): AuditCheckpoint {
  const { store, writer, version, clock } = options;
  const { ordinal, sequence, hash } = store.open(({ directory, count, unnoted }) => {
    const directoryIntact =
      directory === null ? count === 0 : directory.count === count && isDirectorySealed(directory, options);
    const ends = unnoted.map((head) => ({ writer: head.writer, sequence: head.sequence, hash: head.hash }));
    // A lowered count must not hide a missing chain, so the new chain gets a number above both counts.
    const start = emptyChain(writer, Math.max(directory?.count ?? 0, count) + 1, options);
    const record = linkRecord(start, { type: "writer_opened", version, directoryIntact, ends }, clock.now(), options);
    const head = sealHead({ ...start, sequence: record.sequence, hash: record.hash }, options);
    return { record, head, directory: sealDirectory(start.ordinal, options) };
  });
  return { writer, ordinal, sequence, hash };
}
