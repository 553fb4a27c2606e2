/**
 * Deletes the oldest records of each chain. A sealed checkpoint replaces them, and verification starts there. Chains of processes that ended are
 * deleted whole. A damaged log is left unchanged, because a new checkpoint would hide the damage.
 */
import type { GroupCommit } from "@letta-environments/platform";
import { parseJsonObject } from "../lib/json.ts";
import {
  type AuditCheckpoint,
  emptyChain,
  isDroppedSealed,
  isHeadSealed,
  linkHash,
  sealDropped,
  type Sealing,
} from "./chain.ts";
import type { AuditHead, AuditRecord, DroppedRecords } from "./store.ts";

/** The storage of a log with retention. */
export interface AuditRetentionStore {
  /** The heads of chains that have records left, the oldest chain first. A store may list only the first ones. */
  heads(): readonly AuditHead[];
  head(writer: string): AuditHead | null;
  dropped(writer: string): DroppedRecords | null;
  /** The next records of a chain, in their order. */
  recordsAfter(writer: string, sequence: number, limit: number): readonly AuditRecord[];
  /** Stores a checkpoint and deletes the records up to it. Called inside a write transaction. */
  drop(dropped: DroppedRecords): void;
}

/** The number of dropped records. `damaged` is a writer whose chain is not intact; nothing more is dropped then. */
export interface RetentionResult {
  readonly records: number;
  readonly chains: number;
  readonly damaged: string | null;
}

/**
 * Returns the time from which the age of records is measured. A clock that is far ahead would make the whole log look old, so this is at most the
 * time of the newest record of earlier processes plus the uptime of this process. The time of a downtime counts only from the next start on.
 *
 * @param newestMs When the newest record of earlier processes was written, in epoch milliseconds; without any, when this process started.
 */
export function retentionNow(times: {
  readonly nowMs: number;
  readonly newestMs: number;
  readonly elapsedMs: number;
}): number {
  return Math.min(times.nowMs, times.newestMs + times.elapsedMs);
}

/** Records that are checked and deleted in one transaction, so that others never wait for long. */
const batchSize = 200;

/** Drops the records before a time, in epoch milliseconds. It ends with the batch that reaches `maxRecords`. */
export async function dropOldRecords(
  store: AuditRetentionStore,
  transactions: Pick<GroupCommit, "write">,
  sealing: Sealing,
  before: number,
  maxRecords: number = Number.POSITIVE_INFINITY,
): Promise<RetentionResult> {
  let records = 0;
  let chains = 0;
  for (const { writer, ordinal } of store.heads()) {
    let ofChain = 0;
    for (;;) {
      const step = await transactions.write(() => dropBatch(store, sealing, { writer, ordinal }, before));
      if (step === "damaged") return { records, chains, damaged: writer };
      ofChain += step;
      records += step;
      if (step < batchSize || records >= maxRecords) break;
    }
    if (ofChain > 0) chains += 1;
    if (records >= maxRecords) break;
  }
  return { records, chains, damaged: null };
}

/** Drops the next old records of a chain. Returns their number. */
function dropBatch(
  store: AuditRetentionStore,
  sealing: Sealing,
  { writer, ordinal }: Pick<AuditHead, "writer" | "ordinal">,
  before: number,
): number | "damaged" {
  const head = store.head(writer);
  const dropped = store.dropped(writer);
  const isSealed =
    head !== null && isHeadSealed(head, sealing) && (dropped === null || isDroppedSealed(dropped, sealing));
  if (!isSealed) return "damaged";
  let end: AuditCheckpoint = dropped ?? emptyChain(writer, ordinal, sealing);
  let count = 0;
  let closed = dropped?.closed ?? false;
  for (const { sequence, text, hash } of store.recordsAfter(writer, end.sequence, batchSize)) {
    if (sequence !== end.sequence + 1 || linkHash(end.hash, text, sealing.digests) !== hash) return "damaged";
    const { time, type } = factsOf(text);
    if (time >= before) break;
    end = { writer, ordinal, sequence, hash };
    closed = type === "writer_closed";
    count += 1;
  }
  if (end.sequence > head.sequence || (end.sequence === head.sequence && end.hash !== head.hash)) return "damaged";
  if (count > 0) store.drop(sealDropped(end, closed, sealing));
  return count;
}

function factsOf(text: string): { readonly time: number; readonly type: unknown } {
  const { time, type } = parseJsonObject(text) ?? {};
  // A record without a readable time is never old.
  return { time: typeof time === "number" ? time : Number.POSITIVE_INFINITY, type };
}
