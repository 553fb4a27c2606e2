/**
 * `pnpm simulate [--seeds N] [--steps M] [--seed S] [--sends N] [--kind embedded|conversations|remote] [--without FAULT,FAULT]
 * [--events N]`: runs seeds, or the one seed, and stops at the first that fails. `--sends`: until each kind of world has sent as many.
 */
import process from "node:process";
import { parseArgs } from "node:util";
import { type FaultKind, faultKinds } from "./fault-plan.ts";
import { type ConversationCounts, conversationCountNames, noConversationCounts } from "./conversations/record.ts";
import { describeFailure, runSeed, type SeedRun } from "./run-seed.ts";
import { type Counts, countNames, noCounts } from "./truth.ts";
import { worldKinds } from "./world.ts";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "100" },
    steps: { type: "string", default: "200" },
    seed: { type: "string" },
    sends: { type: "string" },
    kind: { type: "string" },
    events: { type: "string", default: "60" },
    without: { type: "string", default: "" },
  },
});

function readCount(name: string, text: string): number {
  if (!/^[0-9]{1,10}$/.test(text)) throw new RangeError(`--${name} must be a whole number`);
  return Number(text);
}

function readOptions(): Omit<SeedRun, "seed"> {
  const kind = worldKinds.find((known) => known === values.kind);
  if (values.kind !== undefined && kind === undefined)
    throw new RangeError(`--kind must be one of ${worldKinds.join(", ")}`);
  const without = new Set<FaultKind>();
  for (const word of values.without.split(",").filter((text) => text !== "")) {
    const kind = faultKinds.find((known) => known === word);
    if (kind === undefined) throw new RangeError(`--without must name some of ${faultKinds.join(", ")}`);
    without.add(kind);
  }
  return {
    steps: readCount("steps", values.steps),
    events: readCount("events", values.events),
    without,
    ...(kind !== undefined && { kind }),
  };
}

/** Sums over seeds. */
interface Totals {
  seeds: number;
  readonly counts: Counts;
  readonly conversations: ConversationCounts;
}

/** Runs a seed and adds its counts. Returns whether it passed; a failure is printed. */
async function runAndCount(run: SeedRun, totals: Totals): Promise<boolean> {
  const result = await runSeed(run);
  const { counts, conversations } = totals;
  totals.seeds += 1;
  for (const name of countNames) counts[name] += result.counts[name];
  for (const name of conversationCountNames) conversations[name] += result.conversations[name];
  if (totals.seeds % 100 === 0) process.stdout.write(`${totals.seeds} seeds and ${counts.sends} messages so far\n`);
  if (result.violations.length === 0) return true;
  process.stdout.write(`${await describeFailure(run, result)}\n`);
  return false;
}

function list<Name extends string>(names: readonly Name[], counts: Readonly<Record<Name, number>>): string {
  return names.map((name) => `${counts[name]} ${name}`).join(", ");
}

/** Runs seeds until there are enough, or until one fails, and prints the counts. */
async function runSeeds(
  name: string,
  run: SeedRun,
  { seeds, sends }: { readonly seeds: number; readonly sends: number | null },
): Promise<void> {
  const totals: Totals = { seeds: 0, counts: { ...noCounts }, conversations: { ...noConversationCounts } };
  const isEnough = (): boolean => (sends === null ? totals.seeds >= seeds : totals.counts.sends >= sends);
  while (!isEnough()) {
    if (await runAndCount({ ...run, seed: (run.seed + totals.seeds) % 2 ** 32 }, totals)) continue;
    process.exitCode = 1;
    break;
  }
  const counts = list(countNames, totals.counts);
  process.stdout.write(`${name}: ${totals.seeds} seeds from ${run.seed}, ${run.steps} steps each: ${counts}\n`);
  if (totals.conversations.statuses > 0)
    process.stdout.write(`${name}: ${list(conversationCountNames, totals.conversations)}\n`);
}

async function main(): Promise<void> {
  const options = readOptions();
  const single = values.seed === undefined ? null : readCount("seed", values.seed);
  const seed = single ?? crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
  const seeds = single === null ? readCount("seeds", values.seeds) : 1;
  const sends = values.sends === undefined ? null : readCount("sends", values.sends);
  // Messages are counted for each kind of world.
  const kinds = sends === null || options.kind !== undefined ? [options.kind] : worldKinds;
  for (const kind of kinds) {
    await runSeeds(kind ?? "simulation", { ...options, seed, ...(kind !== undefined && { kind }) }, { seeds, sends });
    if (process.exitCode !== undefined) return;
  }
}

try {
  await main();
} catch (cause) {
  if (!(cause instanceof RangeError)) throw cause;
  process.stderr.write(`${cause.message}\n`);
  process.exitCode = 2;
}
