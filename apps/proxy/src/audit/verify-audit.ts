import type { AuditEntry } from "./audit-entry.ts";
import type { AuditHead, AuditRecord, AuditSnapshot } from "./audit-store.ts";
import { type ChainEnd, emptyChain, isDirectorySealed, isHeadSealed, linkHash, type Sealing } from "./chain.ts";

/** What is wrong with a log. */
export type AuditFault =
  /** A record is not the one that was written, or stands where none was written. */
  | "record_edited"
  /** A record is not there, and later ones are. */
  | "record_missing"
  /** The chain is shorter than its head says. */
  | "tail_cut"
  /** The chain is longer than its head says. */
  | "tail_added"
  /** The head is not there. */
  | "head_missing"
  /** The head does not carry the seal of this pepper. */
  | "head_forged"
  /** An end that a later chain noted is not there: the chain was cut, and its head set back to an older one. */
  | "end_contradicted"
  /** The number of chains is not there; a log has one from its first record on. */
  | "directory_missing"
  /** What is stored is no log. */
  | "unreadable"
  /** A whole chain is not there. */
  | "chain_missing"
  /** The number of chains does not carry the seal of this pepper, or did not when a chain was added. */
  | "directory_forged"
  /** The log does not hold what an earlier report says. */
  | "report_contradicted";

/** One {@link AuditFault} and its place. */
export interface AuditFinding {
  readonly fault: AuditFault;
  /** `null` when it concerns the log as a whole. */
  readonly writer: string | null;
  /** The first record concerned; `null` when it is no matter of one. */
  readonly sequence: number | null;
}

/** A chain as it was found. */
export interface VerifiedChain extends Pick<ChainEnd, "writer" | "ordinal" | "sequence" | "hash"> {
  /** The writer ended in order. */
  readonly closed: boolean;
}

/** What a verification found. */
export interface AuditReport {
  readonly intact: boolean;
  readonly records: number;
  readonly chains: readonly VerifiedChain[];
  /** Sends whose result is not written down: their process was killed, or they are under way. */
  readonly unfinishedSends: readonly string[];
  readonly findings: readonly AuditFinding[];
}

/** Ends of chains by writer, from an earlier report. */
export type EarlierEnds = ReadonlyMap<string, Pick<ChainEnd, "sequence" | "hash">>;

/** Holds every record against its chain, every chain against its seal, and all of them against an earlier report, if there is one. */
export function verifyAudit(snapshot: AuditSnapshot, sealing: Sealing, earlier: EarlierEnds = new Map()): AuditReport {
  const findings: AuditFinding[] = [];
  const heads = new Map(snapshot.heads.map((head) => [head.writer, head]));
  const chains = new Map<string, VerifiedChain>();
  const unfinishedSends = new Set<string>();
  let records = 0;
  let walk: ChainWalk | null = null;

  function endWalk(): void {
    if (walk === null) return;
    chains.set(walk.head?.writer ?? walk.end.writer, { ...walk.end, closed: walk.closed });
    findings.push(...walk.findings, ...endFindings(walk, sealing));
    walk = null;
  }

  for (const record of snapshot.records) {
    if (walk?.end.writer !== record.writer) {
      endWalk();
      walk = beginWalk(record.writer, heads.get(record.writer) ?? null, earlier, sealing);
    }
    records += 1;
    step(walk, record, sealing, unfinishedSends);
    findings.push(...endsContradicted(record, snapshot));
  }
  endWalk();

  for (const head of snapshot.heads) {
    if (chains.has(head.writer)) continue;
    findings.push({
      fault: isHeadSealed(head, sealing) ? "tail_cut" : "head_forged",
      writer: head.writer,
      sequence: 1,
    });
  }
  for (const writer of earlier.keys()) {
    if (!chains.has(writer)) findings.push({ fault: "report_contradicted", writer, sequence: null });
  }
  findings.push(...directoryFindings(snapshot, sealing));
  return {
    intact: findings.length === 0,
    records,
    chains: [...chains.values()].toSorted((left, right) => left.ordinal - right.ordinal),
    unfinishedSends: [...unfinishedSends],
    findings,
  };
}

interface ChainWalk {
  end: ChainEnd;
  readonly head: AuditHead | null;
  readonly expected: Pick<ChainEnd, "sequence" | "hash"> | null;
  readonly findings: AuditFinding[];
  closed: boolean;
}

function beginWalk(writer: string, head: AuditHead | null, earlier: EarlierEnds, sealing: Sealing): ChainWalk {
  const end = emptyChain(writer, head?.ordinal ?? 0, sealing);
  return { end, head, expected: earlier.get(writer) ?? null, findings: [], closed: false };
}

function step(walk: ChainWalk, record: AuditRecord, { digests }: Sealing, unfinishedSends: Set<string>): void {
  const { writer, sequence, hash } = record;
  if (sequence !== walk.end.sequence + 1) {
    walk.findings.push({ fault: "record_missing", writer, sequence: walk.end.sequence + 1 });
  } else if (walk.head !== null && linkHash(walk.end.hash, record.text, digests) !== hash) {
    // Without its head the number of a chain is not known, and with it the first hash.
    walk.findings.push({ fault: "record_edited", writer, sequence });
  }
  if (walk.expected?.sequence === sequence && walk.expected.hash !== hash) {
    walk.findings.push({ fault: "report_contradicted", writer, sequence });
  }
  walk.end = { ...walk.end, sequence, hash };
  const entry = readEntry(record.text);
  if (entry === null) return;
  if (entry.type === "writer_opened" && !entry.directoryIntact) {
    walk.findings.push({ fault: "directory_forged", writer, sequence });
  }
  if (entry.type === "send_started") unfinishedSends.add(entry.sendId);
  if (entry.type === "send_finished") unfinishedSends.delete(entry.sendId);
  walk.closed = entry.type === "writer_closed";
}

/** Holds the ends that a chain noted when it began against what is there now. */
function endsContradicted({ text }: AuditRecord, { hashAt }: AuditSnapshot): readonly AuditFinding[] {
  const entry = readEntry(text);
  if (entry?.type !== "writer_opened" || !Array.isArray(entry.ends)) return [];
  return entry.ends
    .filter(({ writer, sequence, hash }) => hashAt(String(writer), Number(sequence)) !== hash)
    .map(({ writer, sequence }) => ({ fault: "end_contradicted", writer: String(writer), sequence: Number(sequence) }));
}

function endFindings({ end, head, expected }: ChainWalk, sealing: Sealing): readonly AuditFinding[] {
  const { writer } = end;
  const findings: AuditFinding[] = [];
  if (expected !== null && expected.sequence > end.sequence) {
    findings.push({ fault: "report_contradicted", writer, sequence: end.sequence + 1 });
  }
  if (head === null) return [...findings, { fault: "head_missing", writer, sequence: null }];
  if (!isHeadSealed(head, sealing)) findings.push({ fault: "head_forged", writer, sequence: null });
  if (head.sequence > end.sequence) findings.push({ fault: "tail_cut", writer, sequence: end.sequence + 1 });
  else if (head.sequence < end.sequence) findings.push({ fault: "tail_added", writer, sequence: head.sequence + 1 });
  else if (head.hash !== end.hash) findings.push({ fault: "record_edited", writer, sequence: end.sequence });
  return findings;
}

function directoryFindings({ directory, heads }: AuditSnapshot, sealing: Sealing): readonly AuditFinding[] {
  const whole = { writer: null, sequence: null };
  if (directory === null) return [{ fault: "directory_missing", ...whole }];
  const findings: AuditFinding[] = [];
  if (!isDirectorySealed(directory, sealing)) findings.push({ fault: "directory_forged", ...whole });
  const ordinals = new Set(heads.map(({ ordinal }) => ordinal));
  const isComplete = ordinals.size === heads.length && heads.length === directory.count && !hasGap(ordinals);
  return isComplete ? findings : [...findings, { fault: "chain_missing", ...whole }];
}

function hasGap(ordinals: ReadonlySet<number>): boolean {
  return [...ordinals].some((ordinal) => ordinal !== 1 && !ordinals.has(ordinal - 1));
}

/** Reads an entry without trusting it: an edited one may be anything. */
function readEntry(text: string): AuditEntry | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as AuditEntry) : null;
  } catch {
    return null;
  }
}
