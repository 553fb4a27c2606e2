import type { Digests, Pepper } from "../ports.ts";
import type { AuditEntry } from "./audit-entry.ts";
import type { AuditDirectory, AuditHead, AuditRecord } from "./audit-store.ts";

/** What hashing and sealing need. */
export interface Sealing {
  readonly digests: Digests;
  readonly pepper: Pepper;
}

/** The end of a chain, before it is sealed. */
export type ChainEnd = Pick<AuditHead, "writer" | "ordinal" | "sequence" | "hash">;

/** The end of a chain that has no record yet. */
export function emptyChain(writer: string, ordinal: number, { digests }: Sealing): ChainEnd {
  return { writer, ordinal, sequence: 0, hash: digests.sha256(`audit chain\n${writer}\n${ordinal}`) };
}

/** The record of an entry behind the end of a chain. */
export function linkRecord(end: ChainEnd, entry: AuditEntry, timeMs: number, { digests }: Sealing): AuditRecord {
  const { writer } = end;
  const sequence = end.sequence + 1;
  const text = JSON.stringify({ writer, sequence, time: timeMs, ...entry });
  return { writer, sequence, text, hash: linkHash(end.hash, text, digests) };
}

/** The hash of a record's text behind another hash. */
export function linkHash(previous: string, text: string, digests: Pick<Digests, "sha256">): string {
  return digests.sha256(`${previous}\n${text}`);
}

/** Seals the end of a chain: who does not have the pepper cannot move it. */
export function sealHead(end: ChainEnd, sealing: Sealing): AuditHead {
  const { writer, ordinal, sequence, hash } = end;
  return { writer, ordinal, sequence, hash, ...seal(headText(end), sealing) };
}

/** Seals the number of chains. */
export function sealDirectory(count: number, sealing: Sealing): AuditDirectory {
  return { count, ...seal(directoryText(count), sealing) };
}

/** Whether a head was sealed under this pepper. */
export function isHeadSealed(head: AuditHead, sealing: Sealing): boolean {
  return isSealed(headText(head), head, sealing);
}

/** Whether a number of chains was sealed under this pepper. */
export function isDirectorySealed(directory: AuditDirectory, sealing: Sealing): boolean {
  return isSealed(directoryText(directory.count), directory, sealing);
}

function headText({ writer, ordinal, sequence, hash }: ChainEnd): string {
  return `audit head\n${writer}\n${ordinal}\n${sequence}\n${hash}`;
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
