/**
 * The whole gateway under faults, in front of both kinds of upstream. A failure prints the seed and the command that repeats it:
 * `pnpm simulate`. `pnpm soak` runs many more seeds.
 */
import process from "node:process";
import { describe, expect, test } from "vitest";
import { faultKinds } from "./fault-plan.ts";
import { describeFailure, runSeed } from "./run-seed.ts";
import { type Counts, countNames, noCounts } from "./truth.ts";

const steps = 200;
const fixedSeeds = Array.from({ length: 5 }, (_, index) => index + 1);
const newSeeds = Array.from({ length: 2 }, () => crypto.getRandomValues(new Uint32Array(1))[0] ?? 0);

/** The share of messages that devices must receive. A remote server does not list the connection of a device that is offline. */
const leastShares = { embedded: 0.4, remote: 0.25 } as const;

describe.each(["embedded", "remote"] as const)("with %s upstream", (upstream) => {
  const total: Counts = { ...noCounts };

  test.each([...fixedSeeds, ...newSeeds])(
    "every message runs at most once, and each response says what happened (seed %i)",
    async (seed) => {
      const run = { seed, steps, upstream };
      const result = await runSeed(run);
      for (const name of countNames) total[name] += result.counts[name];
      expect(result.violations.length === 0 ? "" : await describeFailure(run, result)).toBe("");
    },
    60_000,
  );

  test("enough messages are sent and delivered in spite of the faults", () => {
    process.stdout.write(`${upstream}: ${JSON.stringify(total)}, new seeds ${newSeeds.join(", ")}\n`);
    expect(total.sends).toBeGreaterThan(1_000);
    expect(total.delivered).toBeGreaterThan(total.sends * leastShares[upstream]);
  });

  test("without faults no outcome is unknown", async () => {
    const { violations, counts } = await runSeed({ seed: 1, steps, upstream, without: new Set(faultKinds) });
    expect(violations).toEqual([]);
    expect(counts).toMatchObject({ unknown: 0, doubled: 0, untyped: 0 });
    expect(counts.delivered).toBeGreaterThan(50);
  });

  test("the same seed gives the same events", async () => {
    const run = { seed: 1, steps, upstream };
    expect((await runSeed(run)).digest).toBe((await runSeed(run)).digest);
  });
});
