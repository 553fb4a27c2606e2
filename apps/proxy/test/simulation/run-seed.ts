/** Runs the simulation of one seed, and finds the shortest version of one that fails. */
import { type ConversationCounts, noConversationCounts } from "./conversations/record.ts";
import { type FaultKind, faultKinds } from "./fault-plan.ts";
import { createSteps } from "./steps.ts";
import type { Counts } from "./truth.ts";
import { createWorld, type WorldOptions } from "./world.ts";

/** A seed, its steps, and what is different from the default. */
export interface SeedRun extends WorldOptions {
  readonly steps: number;
  /** The number of events that a failure shows, at most 1,000. Default: 60. */
  readonly events?: number;
}

/** The result of a run. */
export interface SeedResult {
  readonly violations: readonly string[];
  readonly counts: Readonly<Counts>;
  readonly conversations: Readonly<ConversationCounts>;
  /** Steps until the first violation; all steps where it came at the end. */
  readonly steps: number;
  readonly lastEvents: readonly string[];
  /** Digest of everything that happened. */
  readonly digest: string;
}

/** Runs one seed to its end, or to its first violation. */
export async function runSeed(run: SeedRun): Promise<SeedResult> {
  const world = await createWorld(run);
  const { truth, trace } = world;
  let steps = 0;
  try {
    await world.start();
    const { step, finish } = createSteps(world);
    for (; steps < run.steps && truth.violations.length === 0; steps++) await step();
    if (truth.violations.length === 0) await finish();
  } finally {
    world.dispose();
  }
  return {
    violations: truth.violations,
    counts: truth.counts,
    conversations: world.conversations?.record.counts ?? noConversationCounts,
    steps,
    lastEvents: trace.last(run.events ?? 60),
    digest: trace.digest(),
  };
}

/** Returns the smallest failing run that is found: with the steps up to the failure, and without the faults that it does not need. */
async function shrink(run: SeedRun, failed: SeedResult): Promise<SeedRun> {
  let smallest: SeedRun = { ...run, steps: failed.steps };
  for (const kind of faultKinds) {
    const candidate: SeedRun = { ...smallest, without: new Set<FaultKind>([...(smallest.without ?? []), kind]) };
    const result = await runSeed(candidate);
    if (result.violations.length > 0) smallest = { ...candidate, steps: result.steps };
  }
  return smallest;
}

/** The command that repeats a run. */
function replayCommand({ seed, steps, kind, without }: SeedRun): string {
  const words = [`pnpm simulate --seed ${seed} --steps ${steps}`];
  if (kind !== undefined) words.push(`--kind ${kind}`);
  if (without !== undefined && without.size > 0) words.push(`--without ${[...without].join(",")}`);
  return words.join(" ");
}

/** Describes a failed run: its violations, its last events, and the command that repeats its smallest version. */
export async function describeFailure(run: SeedRun, failed: SeedResult): Promise<string> {
  const smallest = await shrink(run, failed);
  return [
    `seed ${run.seed} fails:`,
    ...failed.violations.map((violation) => `  ${violation}`),
    "its last events:",
    ...failed.lastEvents.map((event) => `  ${event}`),
    `repeat it with: ${replayCommand({ ...run, steps: failed.steps })}`,
    `smallest version: ${replayCommand(smallest)}`,
  ].join("\n");
}
