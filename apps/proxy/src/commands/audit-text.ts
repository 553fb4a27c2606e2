/** The texts of `audit list` and `audit verify` for people. */
import {
  type Column,
  formatTable,
  formatTime,
  joinLines,
  type Paint,
  printable,
} from "@letta-environments/command-line";
import type { AuditFault, AuditFinding, AuditReport } from "../audit/verify.ts";
import type { AuditFacts } from "../audit/reader.ts";
import { unrestricted } from "../keys/key-record.ts";
import { isJsonObject } from "../lib/json.ts";
import { isDeepEqual } from "../lib/deep-equal.ts";

const columns: readonly Column[] = ["TIME", "EVENT", "OUTCOME", "KEY", "DEVICE", "DETAILS"].map((title) => {
  return { title, shrinks: title === "DEVICE" || title === "DETAILS" };
});

/** Records as a table. The details are shortened to fit the window; `--json` has all of them. */
export function formatAuditTable(records: readonly AuditFacts[], width: number | null, paint: Paint): string {
  const rows = records.map(({ time, type, action, outcome, keyId, deviceId, members }) => {
    const isChange = type === "key_changed" || type === "device_changed";
    const event = isChange && action !== null ? `${type.replace("_changed", "")} ${action}` : type.replaceAll("_", " ");
    return [
      { text: type === "unreadable" ? "?" : formatTime(time), style: null },
      { text: event, style: null },
      { text: outcome ?? "", style: outcome === null ? null : outcome === "ok" ? "green" : "red" } as const,
      { text: keyId ?? "", style: null },
      { text: deviceId ?? "", style: null },
      { text: detailsOf(action, members), style: "dim" } as const,
    ];
  });
  return formatTable(columns, rows, width, paint);
}

type Members = Readonly<Record<string, unknown>>;

function detailsOf(action: string | null, { members: changed, ...members }: Members): string {
  const details = Object.entries(members).filter(([, value]) => value !== null && value !== false);
  return [...details, ...(isJsonObject(changed) ? changesOf(action, changed) : [])]
    .map(([name, value]) => `${name} ${typeof value === "string" ? value : JSON.stringify(value)}`)
    .join("  ");
}

/** Returns the members that a change of a key has set. A new key has all members, so only those that differ from the defaults are returned. */
function changesOf(action: string | null, changed: Members): readonly (readonly [name: string, value: unknown])[] {
  const members = Object.entries(changed);
  if (action !== "created") return members;
  return members.filter(([name, value]) => !shownElsewhere.has(name) && !isDeepEqual(value, defaults[name] ?? null));
}

const defaults: Members = { ...unrestricted };

/** Members of a new key that are also elsewhere in its record. */
const shownElsewhere: ReadonlySet<string> = new Set(["id", "tenant", "createdAt"]);

const faultTexts: Readonly<Record<AuditFault, string>> = {
  record_edited: "a record differs from the one that was written",
  record_missing: "records are missing",
  tail_cut: "records are missing at the end",
  tail_added: "records were added after the sealed end",
  head_missing: "the sealed end is missing",
  directory_missing: "the number of chains, which every log has, is missing",
  end_contradicted: "the end that a later chain recorded is missing",
  unreadable: "the file cannot be read as an audit log",
  dropped_forged: "the end of the dropped records is not sealed with this pepper",
  head_forged: "the end is not sealed with this pepper",
  chain_missing: "a whole chain is missing",
  directory_forged: "the number of chains is not sealed with this pepper",
  report_contradicted: "the log does not contain what the earlier report lists",
};

/** The result of a verification. */
export function formatAuditReport(report: AuditReport): string {
  const { intact, records, chains, unfinishedSends, unfinishedControls, omittedRefusals, findings } = report;
  const counted = `${count(records, "record")} of ${count(chains.length, "writer")}`;
  const unfinished = "without a result: still in flight, or cut off when a process ended.";
  const notes = [
    { number: unfinishedSends.length, noun: "send", text: unfinished },
    { number: unfinishedControls.length, noun: "control operation", text: unfinished },
    { number: omittedRefusals, noun: "refusal", text: "without a record: more than are recorded in a minute." },
  ].flatMap(({ number, noun, text }) => (number === 0 ? [] : [`${count(number, noun)} ${text}`]));
  return joinLines([
    `The audit log is ${intact ? "intact" : "NOT intact"}: ${counted}.`,
    ...findings.map(findingLine),
    ...notes,
  ]);
}

function findingLine({ fault, writer, sequence }: AuditFinding): string {
  const place = [
    ...(writer === null ? [] : [`writer ${printable(writer)}`]),
    ...(sequence === null ? [] : [`record ${sequence}`]),
  ];
  return `  ${[...place, faultTexts[fault]].join(", ")}`;
}

/** A number with its noun, which has an `s` unless the number is 1. */
export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}
