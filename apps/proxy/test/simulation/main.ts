/**
 * `pnpm simulate [--seeds N] [--steps M] [--seed S] [--sends N] [--upstream embedded|remote] [--without KIND,KIND]`: runs seeds, or
 * the one seed, and stops at the first that fails.
 */
import process from "node:process";
import { parseArgs } from "node:util";
import { type FaultKind, faultKinds } from "./fault-plan.ts";
import { describeFailure, runSeed, type SeedRun } from "./run-seed.ts";
import { type Counts, countNames, noCounts } from "./truth.ts";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "100" },
    steps: { type: "string", default: "200" },
    seed: { type: "string" },
    sends: { type: "string" },
    upstream: { type: "string" },
    without: { type: "string", default: "" },
  },
});

function readCount(name: string, text: string): number {
  if (!/^[0-9]{1,10}$/.test(text)) throw new RangeError(`--${name} must be a whole number`);
  return Number(text);
}

function readOptions(): Omit<SeedRun, "seed"> {
  const { upstream } = values;
  if (upstream !== undefined && upstream !== "embedded" && upstream !== "remote") {
    throw new RangeError("--upstream must be embedded or remote");
  }
  const without = new Set<FaultKind>();
  for (const word of values.without.split(",").filter((text) => text !== "")) {
    const kind = faultKinds.find((known) => known === word);
    if (kind === undefined) throw new RangeError(`--without must name some of ${faultKinds.join(", ")}`);
    without.add(kind);
  }
  return { steps: readCount("steps", values.steps), without, ...(upstream !== undefined && { upstream }) };
}

async function main(): Promise<void> {
  const options = readOptions();
  const single = values.seed === undefined ? null : readCount("seed", values.seed);
  const first = single ?? crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
  const maxSeeds = single === null ? readCount("seeds", values.seeds) : 1;
  const minSends = values.sends === undefined ? null : readCount("sends", values.sends);
  const total: Counts = { ...noCounts };
  let seeds = 0;
  while (minSends === null ? seeds < maxSeeds : total.sends < minSends) {
    const run: SeedRun = { ...options, seed: (first + seeds) % 2 ** 32 };
    const result = await runSeed(run);
    seeds += 1;
    for (const name of countNames) total[name] += result.counts[name];
    if (seeds % 100 === 0) process.stdout.write(`${seeds} seeds and ${total.sends} messages so far\n`);
    if (result.violations.length > 0) {
      process.stdout.write(`${await describeFailure(run, result)}\n`);
      process.exitCode = 1;
      break;
    }
  }
  const counts = countNames.map((name) => `${total[name]} ${name}`).join(", ");
  process.stdout.write(`simulation: ${seeds} seeds from ${first}, ${options.steps} steps each: ${counts}\n`);
}

try {
  await main();
} catch (cause) {
  if (!(cause instanceof RangeError)) throw cause;
  process.stderr.write(`${cause.message}\n`);
  process.exitCode = 2;
}
