import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { loadPepper, PepperError } from "../../adapters/node/load-pepper.ts";
import type { AuditRecord, AuditSnapshot } from "../../audit/store.ts";
import { type AuditCheckpoints, type AuditReport, readCheckpoints, verifyAudit } from "../../audit/verify.ts";
import { formatAuditRecord, formatAuditReport } from "../../cli/format-audit.ts";
import type { ParsedCommand } from "../../cli/parse-command.ts";
import type { Pepper } from "../../ports.ts";
import { CommandError } from "./command-error.ts";
import { loadSettings } from "./load-settings.ts";
import { auditFile, type OpenAuditStore, openAuditStore } from "./open-audit.ts";

/** `audit verify`: exit code 1 when anything is wrong. */
export async function verifyAuditCommand(parsed: ParsedCommand): Promise<void> {
  const earlier = readEarlierReport(parsed.options.get("against")?.[0]);
  const report = await withAudit(parsed, ({ store, sealing }) =>
    // Whoever can write to the file can make it anything: then it is no log, and that is the finding.
    store.snapshot((snapshot) => verifyAudit(snapshot, sealing, earlier)).catch(() => unreadable),
  );
  process.stdout.write(parsed.options.has("json") ? `${JSON.stringify(report, null, 2)}\n` : formatAuditReport(report));
  if (!report.intact) throw new CommandError("the audit log is not intact");
}

const unreadable: AuditReport = {
  intact: false,
  records: 0,
  chains: [],
  unfinishedSends: [],
  findings: [{ fault: "unreadable", writer: null, sequence: null }],
};

/** `audit list`: the latest records, in the order of their times. */
export async function listAuditCommand(parsed: ParsedCommand): Promise<void> {
  const [limitText = "50"] = parsed.options.get("limit") ?? [];
  const limit = /^[0-9]{1,9}$/.test(limitText) ? Number(limitText) : 0;
  if (limit === 0) throw new CommandError("--limit must be a whole number from 1 to 999999999", 2);
  const texts = await withAudit(parsed, ({ store }) => store.snapshot((snapshot) => latest(snapshot, limit)));
  const format = parsed.options.has("json") ? (text: string): string => `${text}\n` : formatAuditRecord;
  for (const text of texts) process.stdout.write(format(text));
}

/** Records of several writers interleave; those of one writer keep their order whatever its clock did. */
function latest({ records }: AuditSnapshot, limit: number): readonly string[] {
  const kept: { readonly time: number; readonly text: string }[] = [];
  const shorten = (): void => {
    kept.sort((left, right) => left.time - right.time);
    kept.splice(0, kept.length - limit);
  };
  let writer: string | null = null;
  let time = 0;
  for (const record of records) {
    if (record.writer !== writer) time = 0;
    ({ writer } = record);
    time = Math.max(time, timeOf(record));
    kept.push({ time, text: record.text });
    if (kept.length >= 2 * limit + 1_000) shorten();
  }
  if (kept.length > 0) kept.sort((left, right) => left.time - right.time);
  return kept.slice(-limit).map(({ text }) => text);
}

function timeOf({ text }: AuditRecord): number {
  const time = /"time":(\d{1,16})/.exec(text)?.[1];
  return time === undefined ? 0 : Number(time);
}

async function withAudit<Result>(
  parsed: ParsedCommand,
  run: (audit: OpenAuditStore) => Promise<Result>,
): Promise<Result> {
  const { dataDir, keyPepper } = loadSettings(parsed);
  if (!existsSync(join(dataDir, auditFile))) throw new CommandError(`There is no audit log in ${dataDir}.`);
  const audit = await openAuditStore({ dataDir }, readPepper(dataDir, keyPepper));
  try {
    return await run(audit);
  } finally {
    audit.close();
  }
}

function readPepper(dataDir: string, text: string | null): Pepper {
  try {
    // A log was sealed with one: a new pepper would only call it forged.
    return loadPepper(dataDir, text, true);
  } catch (cause) {
    if (cause instanceof PepperError) throw new CommandError(cause.message, 1, { cause });
    throw cause;
  }
}

function readEarlierReport(path: string | undefined): AuditCheckpoints {
  if (path === undefined) return new Map();
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    throw new CommandError(`${path} cannot be read`, 1, { cause });
  }
  const ends = readCheckpoints(text);
  if (ends === null) throw new CommandError(`${path} is not a report of 'audit verify --json'`);
  return ends;
}
