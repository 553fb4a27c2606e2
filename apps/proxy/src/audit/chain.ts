/** Hash chains of audit records, and the seals of their ends. Only the holder of the pepper can make a valid seal. */
import type { Digests, Pepper } from "../ports.ts";
import type { AuditEntry } from "./entry.ts";
import type { AuditDirectory, AuditHead, AuditRecord, AuditSnapshot, DroppedRecords } from "./store.ts";

/** Hashes, and the pepper for seals. */
export interface Sealing {
  readonly digests: Digests;
  readonly pepper: Pepper;
}

/** A position in a chain and the hash of the record there: it proves all records up to that position. */
export type AuditCheckpoint = Pick<AuditHead, "writer" | "ordinal" | "sequence" | "hash">;

/** Returns the checkpoint of a chain without records. */
export function emptyChain(writer: string, ordinal: number, { digests }: Sealing): AuditCheckpoint {
  return { writer, ordinal, sequence: 0, hash: digests.sha256(`audit chain\n${writer}\n${ordinal}`) };
}

/** Returns the record that appends an entry to a chain. */
export function linkRecord(end: AuditCheckpoint, entry: AuditEntry, timeMs: number, { digests }: Sealing): AuditRecord {
  const { writer } = end;
  const sequence = end.sequence + 1;
  const text = `{"writer":${JSON.stringify(writer)},"sequence":${sequence},"time":${timeMs},${JSON.stringify(entry).slice(1)}`;
  return { writer, sequence, text, hash: linkHash(end.hash, text, digests) };
}

/** Hashes the text of a record together with the hash of the record before. */
export function linkHash(previous: string, text: string, digests: Pick<Digests, "sha256">): string {
  return digests.sha256(`${previous}\n${text}`);
}

/** Seals the end of a chain. It cannot be moved without the pepper. */
export function sealHead(end: AuditCheckpoint, sealing: Sealing): AuditHead {
  const { writer, ordinal, sequence, hash } = end;
  return { writer, ordinal, sequence, hash, ...seal(headText(end), sealing) };
}

/** Seals the end of records that are dropped. */
export function sealDropped(end: AuditCheckpoint, closed: boolean, sealing: Sealing): DroppedRecords {
  const { writer, ordinal, sequence, hash } = end;
  return { writer, ordinal, sequence, hash, closed, ...seal(droppedText(end, closed), sealing) };
}

/** Whether the end of dropped records was sealed under this pepper. */
export function isDroppedSealed(dropped: DroppedRecords, sealing: Sealing): boolean {
  return isSealed(droppedText(dropped, dropped.closed), dropped, sealing);
}

/** Seals the number of chains. */
export function sealDirectory(count: number, sealing: Sealing): AuditDirectory {
  return { count, ...seal(directoryText(count), sealing) };
}

/** Whether a head was sealed under this pepper. */
export function isHeadSealed(head: AuditHead, sealing: Sealing): boolean {
  return isSealed(headText(head), head, sealing);
}

/** Whether a directory was sealed under this pepper. */
export function isDirectorySealed(directory: AuditDirectory, sealing: Sealing): boolean {
  return isSealed(directoryText(directory.count), directory, sealing);
}

/**
 * Whether a log names this pepper in one of its seals, or has no seals. The ids of peppers prove nothing, because anybody who can write to the
 * file can change them. They only suggest that the pepper may be the wrong one.
 */
export function hasSealOf({ directory, heads }: Pick<AuditSnapshot, "directory" | "heads">, pepper: Pepper): boolean {
  const seals = directory === null ? heads : [directory, ...heads];
  return seals.length === 0 || seals.some(({ pepperId }) => pepperId === pepper.id);
}

/** Whether the newest seal of a log was made with this pepper, or the log has no seal. The directory is sealed anew whenever a chain begins. */
export function isNewestSealOf(
  { directory, heads }: Pick<AuditSnapshot, "directory" | "heads">,
  pepper: Pepper,
): boolean {
  const newest = directory ?? heads.at(-1);
  return newest === undefined || newest.pepperId === pepper.id;
}

function headText({ writer, ordinal, sequence, hash }: AuditCheckpoint): string {
  return `audit head\n${writer}\n${ordinal}\n${sequence}\n${hash}`;
}

function droppedText({ writer, ordinal, sequence, hash }: AuditCheckpoint, closed: boolean): string {
  return `audit dropped\n${writer}\n${ordinal}\n${sequence}\n${hash}\n${closed}`;
}

function directoryText(count: number): string {
  return `audit directory\n${count}`;
}

function seal(text: string, { digests, pepper }: Sealing): { readonly pepperId: string; readonly seal: string } {
  return { pepperId: pepper.id, seal: digests.hmacSha256(pepper.secret, `${text}\n${pepper.id}`) };
}

function isSealed(text: string, sealed: ReturnType<typeof seal>, { digests, pepper }: Sealing): boolean {
  return digests.constantTimeEqual(digests.hmacSha256(pepper.secret, `${text}\n${sealed.pepperId}`), sealed.seal);
}
