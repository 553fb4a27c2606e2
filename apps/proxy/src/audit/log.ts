/**
 * The audit log of one process: a hash chain of its own, whose end is sealed under the pepper. Entries that arrive together are
 * committed together.
 */
import type { Clock } from "@letta-environments/platform";
import type { AuditEntry } from "./entry.ts";
import { type AuditChains, type AuditRecord, AuditUnavailableError } from "./store.ts";
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
}

/** An {@link AuditLog} of this process. */
export interface OpenAuditLog extends AuditLog {
  /** The end of the chain now. Stored elsewhere, it later proves that no record before it was removed. */
  end(): AuditCheckpoint;
  /** Stores the waiting entries and `writer_closed`. Later entries are rejected. */
  close(): Promise<void>;
}

/** Options of {@link openAuditLog}. */
export interface AuditLogOptions extends Sealing {
  readonly store: AuditChains;
  readonly clock: Pick<Clock, "now">;
  /** The unique name of this process. */
  readonly writer: string;
  readonly version: string;
  /** Schedules a function after the work that is ready now. Entries that arrive until then share a commit. */
  readonly defer: (run: () => void) => void;
}

interface Waiting {
  readonly entry: AuditEntry;
  readonly resolve: () => void;
  readonly reject: (cause: unknown) => void;
}

/** Begins a chain. Rejects when it cannot be stored. */
export async function openAuditLog(options: AuditLogOptions): Promise<OpenAuditLog> {
  const { store, clock, defer } = options;
  let end = await beginChain(options);
  let waiting: Waiting[] = [];
  let isScheduled = false;
  let lastFailed: AuditCheckpoint | null = null;
  let running: Promise<void> = Promise.resolve();
  let isClosed = false;

  function schedule(): void {
    if (isScheduled) return;
    isScheduled = true;
    defer(() => {
      isScheduled = false;
      running = running.then(commit);
    });
  }

  async function commit(): Promise<void> {
    const batch = waiting;
    waiting = [];
    if (batch.length === 0) return;
    try {
      await recover();
      const records: AuditRecord[] = [];
      let next = end;
      for (const { entry } of batch) {
        const record = linkRecord(next, entry, clock.now(), options);
        records.push(record);
        next = { ...next, sequence: record.sequence, hash: record.hash };
      }
      lastFailed = next;
      await store.append(records, sealHead(next, options));
      end = next;
      lastFailed = null;
      for (const { resolve } of batch) resolve();
    } catch (cause) {
      for (const { reject } of batch) reject(new AuditUnavailableError(cause));
    }
  }

  /** After a failed commit, reads the stored head to learn whether the commit was made. */
  async function recover(): Promise<void> {
    if (lastFailed === null) return;
    const stored = await store.head(end.writer);
    if (stored?.hash === lastFailed.hash) end = lastFailed;
    else if (stored?.hash !== end.hash)
      throw new Error("the audit chain of this process was changed by another process");
    lastFailed = null;
  }

  function append(entry: AuditEntry): Promise<void> {
    if (isClosed) return Promise.reject(new AuditUnavailableError("the log is closed"));
    return new Promise((resolve, reject) => {
      waiting.push({ entry, resolve, reject });
      schedule();
    });
  }

  return {
    append,
    end: () => end,
    async close() {
      const closing = append({ type: "writer_closed" });
      isClosed = true;
      await closing;
    },
  };
}

async function beginChain(options: AuditLogOptions): Promise<AuditCheckpoint> {
  const { store, writer, version, clock } = options;
  let end: AuditCheckpoint | null = null;
  await store.open(({ directory, count, unnoted }) => {
    const directoryIntact =
      directory === null ? count === 0 : directory.count === count && isDirectorySealed(directory, options);
    const ends = unnoted.map(({ writer: earlier, sequence, hash }) => ({ writer: earlier, sequence, hash }));
    // A lowered count must not hide a missing chain, so the new chain gets a number above both counts.
    const ordinal = Math.max(directory?.count ?? 0, count) + 1;
    const start = emptyChain(writer, ordinal, options);
    const record = linkRecord(start, { type: "writer_opened", version, directoryIntact, ends }, clock.now(), options);
    end = { ...start, sequence: record.sequence, hash: record.hash };
    return { record, head: sealHead(end, options), directory: sealDirectory(ordinal, options) };
  });
  if (end === null) throw new TypeError("the store did not begin a chain");
  return end;
}
