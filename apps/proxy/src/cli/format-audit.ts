import { printable } from "./printable.ts";
import type { AuditFault, AuditFinding, AuditReport } from "../audit/verify.ts";

const faultTexts: Readonly<Record<AuditFault, string>> = {
  record_edited: "a record is not the one that was written",
  record_missing: "records are missing",
  tail_cut: "records are missing at the end",
  tail_added: "records were added behind the sealed end",
  head_missing: "the sealed end is missing",
  directory_missing: "the number of chains is missing, which every log has",
  end_contradicted: "the end that a later chain noted is not there",
  unreadable: "the file cannot be read as a log",
  head_forged: "the end does not carry the seal of this pepper",
  chain_missing: "a whole chain is missing",
  directory_forged: "the number of chains does not carry the seal of this pepper",
  report_contradicted: "the log does not hold what the earlier report says",
};

/** A verification for people. */
export function formatAuditReport({ intact, records, chains, unfinishedSends, findings }: AuditReport): string {
  const counted = `${count(records, "record")} of ${count(chains.length, "writer")}`;
  const unfinished =
    unfinishedSends.length === 0
      ? []
      : [`${count(unfinishedSends.length, "send")} without a result: under way, or cut off by the end of a process.`];
  if (intact) return lines([`The audit log is intact: ${counted}.`, ...unfinished]);
  return lines([`The audit log is NOT intact: ${counted}.`, ...findings.map(findingLine), ...unfinished]);
}

/** A record for people: time, what happened, and its members. `null` for text that is no record. */
export function formatAuditRecord(text: string): string {
  const record = readObject(text);
  if (record === null) return lines(["(not a record)"]);
  const { writer: _writer, sequence: _sequence, time, type, ...members } = record;
  const shown = Object.entries(members).filter(([, value]) => value !== null && value !== false);
  const when = typeof time === "number" && Math.abs(time) <= 8.64e15 ? new Date(time).toISOString() : "?";
  const words = [when, String(type).replaceAll("_", " "), ...shown.map(memberText)];
  return lines([words.map(printable).join("  ")]);
}

function findingLine({ fault, writer, sequence }: AuditFinding): string {
  const place = [
    ...(writer === null ? [] : [`writer ${printable(writer)}`]),
    ...(sequence === null ? [] : [`record ${sequence}`]),
  ];
  return `  ${[...place, faultTexts[fault]].join(", ")}`;
}

function memberText([name, value]: readonly [string, unknown]): string {
  return `${name} ${typeof value === "string" ? value : JSON.stringify(value)}`;
}

function readObject(text: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>) : null;
  } catch {
    return null;
  }
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

function lines(texts: readonly string[]): string {
  return texts.map((text) => `${text}\n`).join("");
}
