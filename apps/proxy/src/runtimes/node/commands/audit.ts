/** The commands `audit verify`, `audit prune` and `audit list`: options, output and exit codes. Chains are verified and searched in `audit/`. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { CommandError, misuse, parseTime, printable, suggestWord, timeForms } from "@letta-environments/command-line";
import { systemClock } from "@letta-environments/platform/node";
import { loadPepper } from "../../../adapters/node/pepper.ts";
import { findLatest } from "../../../commands/audit-latest.ts";
import { hasSealOf, isNewestSealOf } from "../../../audit/chain.ts";
import { type AuditCheckpoints, type AuditReport, readCheckpoints, verifyAudit } from "../../../audit/verify.ts";
import { actionNames, type AuditFilter, eventNames, outcomeNames } from "../../../audit/reader.ts";
import { count, formatAuditReport, formatAuditTable } from "../../../commands/audit-text.ts";
import { pepperName } from "../../../backup/manifest.ts";
import type { Pepper } from "../../../ports.ts";
import { assertGatewayData, auditFile, keysFile, openDatabase } from "../../../adapters/node/data-dir.ts";
import { readPeppersOfKeys } from "../../../adapters/sqlite/key-store.ts";
import { openAudit, type OpenAuditStore, openAuditStore } from "../audit.ts";
import { type CommandContext, commandLineActor, print, readNamedFile } from "./context.ts";

/** `audit verify`: exit code 1 if anything is wrong. */
export async function verifyAuditCommand(context: CommandContext): Promise<void> {
  const earlier = await readEarlierReport(context.option("against"));
  const { report, hasSeal, pepper } = await withAudit(context, async ({ store, sealing }) => {
    const verified = await store
      .snapshot((snapshot) => ({
        report: verifyAudit(snapshot, sealing, earlier),
        hasSeal: hasSealOf(snapshot, sealing.pepper),
      }))
      // Anyone with write access can corrupt the file, so an unreadable file is a finding too.
      .catch(() => ({ report: unreadable, hasSeal: true }));
    return { ...verified, pepper: sealing.pepper };
  });
  context.show(report, formatAuditReport);
  if (report.intact) return;
  const reason = hasSeal ? "" : await explainForeignSeals(context, pepper);
  throw new CommandError(`the audit log is not intact${reason}`);
}

/** Explains why no seal of a log may be of this pepper. Only the keys are evidence, because an attacker who changes a log can change its pepper ids too. */
async function explainForeignSeals(context: CommandContext, { id }: Pepper): Promise<string> {
  const isPepperOfKeys = (await readKeyPeppers(context.settings().dataDir)).has(id);
  return isPepperOfKeys
    ? ": its seals name a different pepper than the keys, so the log was changed or replaced"
    : `; no seal was made with this pepper, so ${nameOfPepper(context)} may be the wrong one`;
}

/** The peppers of the keys in the data directory: none when they cannot be read, or are elsewhere. */
async function readKeyPeppers(dataDir: string): Promise<ReadonlySet<string>> {
  if (!existsSync(join(dataDir, keysFile))) return new Set();
  const database = await openDatabase(dataDir, keysFile);
  try {
    return readPeppersOfKeys(database);
  } catch {
    return new Set();
  } finally {
    database.close();
  }
}

/** `audit prune --before TIME`: drops old records. Exit code 1 if the log is not intact, and then nothing of the damaged chain is dropped. */
export async function pruneAuditCommand(context: CommandContext): Promise<void> {
  const text = context.option("before");
  if (text === undefined) throw misuse("--before is required");
  const nowMs = systemClock.now();
  const before = parseTime(text, nowMs, -1);
  if (before === null) throw misuse(`--before must be ${timeForms}`);
  if (before > nowMs) throw misuse("--before must not be in the future");
  // Another pepper would seal the chain of this command and the number of chains, and the log would fail verification.
  const isOurs = await withAudit(context, ({ store, sealing }) =>
    store.snapshot((snapshot) => isNewestSealOf(snapshot, sealing.pepper)),
  );
  if (!isOurs) {
    throw new CommandError(
      `${nameOfPepper(context)} is not the pepper of this log; use the one with which the gateway wrote it`,
    );
  }
  const { dataDir, keyPepper } = context.settings();
  const audit = await openAudit({ dataDir }, loadPepper(dataDir, keyPepper, true));
  try {
    const { records, chains, damaged } = await audit.dropBefore(before, commandLineActor());
    print(`Dropped ${count(records, "record")} of ${count(chains, "writer")}.\n`);
    if (damaged !== null) {
      throw new CommandError(
        `the chain of writer ${damaged} is not intact, so it was left alone; see 'letta-proxy audit verify'`,
      );
    }
  } finally {
    await audit.close();
  }
}

const unreadable: AuditReport = {
  intact: false,
  records: 0,
  chains: [],
  unfinishedSends: [],
  unfinishedControls: [],
  omittedRefusals: 0,
  findings: [{ fault: "unreadable", writer: null, sequence: null }],
};

/** `audit list`: the latest records that the filters select, in the order of their times. */
export async function listAuditCommand(context: CommandContext): Promise<void> {
  const limitText = context.option("limit") ?? "50";
  if (!/^[1-9]\d{0,8}$/.test(limitText)) throw misuse("--limit must be a whole number from 1 to 999999999");
  const filter = readFilter(context);
  const records = await withAudit(context, ({ store }) =>
    store.snapshot(() => findLatest(store.tail, filter, Number(limitText))),
  );
  // A program gets each record byte for byte, as it was hashed.
  const shown = context.width === null ? (text: string) => text : printable;
  if (context.parsed.options.has("json")) return print(records.map(({ text }) => `${shown(text)}\n`).join(""));
  const facts = records.map((record) => record.facts);
  context.showList(facts, formatAuditTable, "No records match.");
}

function readFilter({ parsed, option }: CommandContext): AuditFilter {
  const nowMs = systemClock.now();
  const time = (name: string): number | undefined => {
    const text = option(name);
    const timeMs = text === undefined ? undefined : parseTime(text, nowMs, -1);
    if (timeMs === null) throw misuse(`--${name} must be ${timeForms}`);
    return timeMs;
  };
  const words = (name: string, known: readonly string[]): readonly string[] | undefined => {
    const values = parsed.options.get(name);
    const unknown = values?.find((value) => !known.includes(value));
    if (unknown === undefined) return values;
    const suggestion = suggestWord(unknown, known);
    throw misuse(
      `--${name} must be one of ${known.join(", ")}${suggestion === null ? "" : `; did you mean ${suggestion}?`}`,
    );
  };
  return {
    since: time("since"),
    until: time("until"),
    keyId: option("key"),
    deviceId: option("device"),
    events: words("event", eventNames),
    actions: words("action", actionNames),
    outcome: words("outcome", outcomeNames)?.at(-1),
  };
}

async function withAudit<Result>(
  context: CommandContext,
  run: (audit: OpenAuditStore) => Promise<Result>,
): Promise<Result> {
  const { dataDir, keyPepper } = context.settings();
  assertGatewayData(dataDir);
  if (!existsSync(join(dataDir, auditFile))) throw new CommandError(`there is no audit log in ${dataDir}`);
  // The log was sealed with a pepper; with a new one it would only look forged.
  const audit = await openAuditStore({ dataDir }, loadPepper(dataDir, keyPepper, true));
  try {
    return await run(audit);
  } finally {
    audit.close();
  }
}

function nameOfPepper(context: CommandContext): string {
  const { dataDir, keyPepper } = context.settings();
  return keyPepper === null ? join(dataDir, pepperName) : "KEY_PEPPER";
}

async function readEarlierReport(path: string | undefined): Promise<AuditCheckpoints> {
  if (path === undefined) return new Map();
  const checkpoints = readCheckpoints(await readNamedFile("--against", path));
  if (checkpoints === null) throw new CommandError(`${path} is not a report of 'audit verify --json'`);
  return checkpoints;
}
