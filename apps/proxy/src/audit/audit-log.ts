/**
 * The audit log of one process: a chain of its own, in which every record carries the hash of the one before, and whose end is
 * sealed under the pepper. Records that come together are committed together.
 */
import type { Clock } from "@letta-environments/platform";
import type { AuditEntry } from "./audit-entry.ts";
import type { AuditChains, AuditRecord } from "./audit-store.ts";
import { AuditUnavailableError } from "./audit-unavailable-error.ts";
import {
  type ChainEnd,
  emptyChain,
  isDirectorySealed,
  linkRecord,
  sealDirectory,
  sealHead,
  type Sealing,
} from "./chain.ts";

/** Takes entries. */
export interface AuditLog {
  /** Resolves when the entry is durable; rejects with {@link AuditUnavailableError} when it could not be stored. */
  append(entry: AuditEntry): Promise<void>;
}

/** An {@link AuditLog} with its own end. */
export interface OpenAuditLog extends AuditLog {
  /** Where the chain ends now. Kept elsewhere, it proves later that nothing before it was taken away. */
  end(): ChainEnd;
  /** Stores what waits and the note that the writer ended in order. Nothing can be appended any more. */
  close(): Promise<void>;
}

/** What a log needs. */
export interface AuditLogOptions extends Sealing {
  readonly store: AuditChains;
  readonly clock: Pick<Clock, "now">;
  /** Name of this process, never used before. */
  readonly writer: string;
  readonly version: string;
  /** Runs something once what is ready now has run: entries that come until then share a commit. */
  readonly defer: (run: () => void) => void;
}

interface Waiting {
  readonly entry: AuditEntry;
  readonly resolve: () => void;
  readonly reject: (cause: unknown) => void;
}

/** Opens a chain. Rejects when it cannot be stored. */
export async function openAuditLog(options: AuditLogOptions): Promise<OpenAuditLog> {
  const { store, clock, defer } = options;
  let end = await beginChain(options);
  let waiting: Waiting[] = [];
  let isScheduled = false;
  let lastFailed: ChainEnd | null = null;
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

  /** After a failure it is not known whether the commit was made: the stored head tells. */
  async function recover(): Promise<void> {
    if (lastFailed === null) return;
    const stored = await store.head(end.writer);
    if (stored?.hash === lastFailed.hash) end = lastFailed;
    else if (stored?.hash !== end.hash) throw new Error("the audit chain of this process was changed by somebody else");
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

async function beginChain(options: AuditLogOptions): Promise<ChainEnd> {
  const { store, writer, version, clock } = options;
  let end: ChainEnd | null = null;
  await store.open(({ directory, count, unnoted }) => {
    const directoryIntact =
      directory === null ? count === 0 : directory.count === count && isDirectorySealed(directory, options);
    const ends = unnoted.map(({ writer: earlier, sequence, hash }) => ({ writer: earlier, sequence, hash }));
    // A count that was lowered must not hide that a chain is missing: the next one is numbered behind the highest claim.
    const ordinal = Math.max(directory?.count ?? 0, count) + 1;
    const start = emptyChain(writer, ordinal, options);
    const record = linkRecord(start, { type: "writer_opened", version, directoryIntact, ends }, clock.now(), options);
    end = { ...start, sequence: record.sequence, hash: record.hash };
    return { record, head: sealHead(end, options), directory: sealDirectory(ordinal, options) };
  });
  if (end === null) throw new TypeError("the store did not begin a chain");
  return end;
}
