/**
 * Verification of the audit log. It compares every record with its chain, every chain with its sealed head, all chains with the
 * sealed directory, and all of them with the checkpoints of an earlier report.
 */
import * as v from "valibot";
import { parseJson } from "../lib/json.ts";
import type { AuditEntry } from "./entry.ts";
import type { AuditHead, AuditRecord, AuditSnapshot, DroppedRecords } from "./store.ts";
import {
  type AuditCheckpoint,
  emptyChain,
  isDirectorySealed,
  isDroppedSealed,
  isHeadSealed,
  linkHash,
  type Sealing,
} from "./chain.ts";

/** A kind of damage to the log. */
export type AuditFault =
  /** A record differs from the one that was written, or none was written at its position. */
  | "record_edited"
  /** A record is missing, and later ones exist. */
  | "record_missing"
  /** The chain is shorter than its head says. */
  | "tail_cut"
  /** The chain is longer than its head says. */
  | "tail_added"
  /** The head of a chain is missing. */
  | "head_missing"
  /** The head has no valid seal of this pepper. */
  | "head_forged"
  /** The checkpoint that retention has left has no valid seal of this pepper. */
  | "dropped_forged"
  /** A checkpoint that a later chain noted does not exist: the chain was cut, and its head set back to an older one. */
  | "end_contradicted"
  /** The directory is missing, which every log has from its first record on. */
  | "directory_missing"
  /** The stored data cannot be read as a log. */
  | "unreadable"
  /** A whole chain is missing. */
  | "chain_missing"
  /** The directory has no valid seal of this pepper, or had none when a chain was added. */
  | "directory_forged"
  /** The log lacks a record that an earlier report contains. */
  | "report_contradicted";

/** An {@link AuditFault} and its position. */
export interface AuditFinding {
  readonly fault: AuditFault;
  /** `null` when the fault concerns the whole log. */
  readonly writer: string | null;
  /** The first record concerned; `null` when no single record is. */
  readonly sequence: number | null;
}

/** A chain that was found, with its end. */
export interface VerifiedChain extends AuditCheckpoint {
  /** The writer stopped in order. */
  readonly closed: boolean;
}

/** The result of a verification. */
export interface AuditReport {
  readonly intact: boolean;
  readonly records: number;
  readonly chains: readonly VerifiedChain[];
  /** Sends without a recorded result: their process was killed, or they are in flight. */
  readonly unfinishedSends: readonly string[];
  /** The same for control operations. */
  readonly unfinishedControls: readonly string[];
  /** Refusals that were counted without separate records. */
  readonly omittedRefusals: number;
  readonly findings: readonly AuditFinding[];
}

/** Checkpoints of chains by writer, from an earlier report. */
export type AuditCheckpoints = ReadonlyMap<string, Pick<AuditCheckpoint, "sequence" | "hash">>;

/** Verifies a log, also against the checkpoints of an earlier report when they are given. */
export function verifyAudit(
  snapshot: AuditSnapshot,
  sealing: Sealing,
  earlier: AuditCheckpoints = new Map(),
): AuditReport {
  const findings: AuditFinding[] = [];
  const heads = new Map(snapshot.heads.map((head) => [head.writer, head]));
  const dropped = new Map(snapshot.dropped?.map((records) => [records.writer, records]));
  const walks = new Map<string, ChainWalk>();
  const tally: Tally = { sends: new Set(), controls: new Set(), omittedRefusals: 0 };
  let records = 0;

  function walkOf(writer: string): ChainWalk {
    const known = walks.get(writer);
    if (known !== undefined) return known;
    const walk = beginWalk(writer, heads.get(writer) ?? null, dropped.get(writer), earlier, sealing);
    walks.set(writer, walk);
    return walk;
  }

  for (const record of snapshot.records) {
    records += 1;
    step(walkOf(record.writer), record, sealing, tally);
    findings.push(...contradictedCheckpoints(record, snapshot, dropped));
  }
  for (const writer of dropped.keys()) walkOf(writer);
  for (const walk of walks.values()) findings.push(...walk.findings, ...endFindings(walk, sealing));
  for (const head of snapshot.heads) {
    const { writer } = head;
    if (walks.has(writer)) continue;
    findings.push({ fault: isHeadSealed(head, sealing) ? "tail_cut" : "head_forged", writer, sequence: 1 });
  }
  for (const writer of earlier.keys()) {
    if (!walks.has(writer)) findings.push({ fault: "report_contradicted", writer, sequence: null });
  }
  findings.push(...directoryFindings(snapshot, sealing));
  return {
    intact: findings.length === 0,
    records,
    chains: [...walks.values()]
      .map(({ end, closed }) => ({ ...end, closed }))
      .toSorted((left, right) => left.ordinal - right.ordinal),
    unfinishedSends: [...tally.sends],
    unfinishedControls: [...tally.controls],
    omittedRefusals: tally.omittedRefusals,
    findings,
  };
}

/** Parses the JSON of an earlier report and returns its checkpoints; `null` for any other text. */
export function readCheckpoints(json: string | Uint8Array): AuditCheckpoints | null {
  const report = v.safeParse(ReportSchema, parseJson(json));
  if (!report.success) return null;
  return new Map(report.output.chains.map(({ writer, sequence, hash }) => [writer, { sequence, hash }]));
}

const ReportSchema = v.object({
  chains: v.array(v.object({ writer: v.string(), sequence: v.number(), hash: v.string() })),
});

interface ChainWalk {
  end: AuditCheckpoint;
  readonly head: AuditHead | null;
  readonly expected: Pick<AuditCheckpoint, "sequence" | "hash"> | null;
  readonly findings: AuditFinding[];
  closed: boolean;
}

/** Begins at the first record of a chain or, where retention has dropped records, after the last of them. */
function beginWalk(
  writer: string,
  head: AuditHead | null,
  dropped: DroppedRecords | undefined,
  earlier: AuditCheckpoints,
  sealing: Sealing,
): ChainWalk {
  const start = emptyChain(writer, head?.ordinal ?? 0, sealing);
  const expected = earlier.get(writer) ?? null;
  if (dropped === undefined) return { end: start, head, expected, findings: [], closed: false };
  const { sequence, hash, closed } = dropped;
  const isForged = !isDroppedSealed(dropped, sealing) || (head !== null && head.ordinal !== dropped.ordinal);
  const isContradicted = expected?.sequence === sequence && expected.hash !== hash;
  const findings: AuditFinding[] = [
    ...(isForged ? [{ fault: "dropped_forged", writer, sequence } as const] : []),
    ...(isContradicted ? [{ fault: "report_contradicted", writer, sequence } as const] : []),
  ];
  return { end: { ...start, sequence, hash }, head, expected, findings, closed };
}

/** Ids of actions that have no result yet, and the number of omitted refusals. */
interface Tally {
  readonly sends: Set<string>;
  readonly controls: Set<string>;
  omittedRefusals: number;
}

function step(walk: ChainWalk, record: AuditRecord, { digests }: Sealing, tally: Tally): void {
  const { writer, sequence, hash } = record;
  if (sequence !== walk.end.sequence + 1) {
    walk.findings.push({ fault: "record_missing", writer, sequence: walk.end.sequence + 1 });
  } else if (walk.head !== null && linkHash(walk.end.hash, record.text, digests) !== hash) {
    // Without its head, the number of the chain is unknown, and so is the hash before its first record.
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
  const { sends, controls } = tally;
  if (entry.type === "send_started") sends.add(entry.sendId);
  if (entry.type === "send_finished") sends.delete(entry.sendId);
  if (entry.type === "control_started") controls.add(entry.controlId);
  if (entry.type === "control_finished") controls.delete(entry.controlId);
  if (entry.type === "refusals_omitted") tally.omittedRefusals += Number(entry.omitted);
  walk.closed = entry.type === "writer_closed";
}

/** Compares the checkpoints that a chain noted when it began with the log now. */
function contradictedCheckpoints(
  { text }: AuditRecord,
  { hashAt }: AuditSnapshot,
  dropped: ReadonlyMap<string, DroppedRecords>,
): readonly AuditFinding[] {
  const entry = readEntry(text);
  if (entry?.type !== "writer_opened" || !Array.isArray(entry.ends)) return [];
  const isThere = (writer: string, sequence: number, hash: string): boolean => {
    const end = dropped.get(writer);
    // Of dropped records, only the hash of the last one is known.
    if (end === undefined || sequence > end.sequence) return hashAt(writer, sequence) === hash;
    return sequence < end.sequence || end.hash === hash;
  };
  return entry.ends
    .filter(({ writer, sequence, hash }) => !isThere(String(writer), Number(sequence), hash))
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

/** Parses an entry without trusting it: an edited entry may be anything. */
function readEntry(text: string): AuditEntry | null {
  const value = parseJson(text);
  return typeof value === "object" && value !== null ? (value as AuditEntry) : null;
}
