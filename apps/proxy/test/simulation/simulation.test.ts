/**
 * The whole gateway under faults, in front of both kinds of upstream. A failure prints the seed and the command that repeats it:
 * `pnpm simulate`. `pnpm soak` runs many more seeds.
 */
import process from "node:process";
import { describe, expect, test } from "vitest";
import { type ConversationCounts, conversationCountNames, noConversationCounts } from "./conversations/record.ts";
import { faultKinds } from "./fault-plan.ts";
import { describeFailure, runSeed } from "./run-seed.ts";
import { type Counts, countNames, noCounts } from "./truth.ts";
import { worldKinds } from "./world.ts";

const steps = 200;
const fixedSeeds = Array.from({ length: 7 }, (_, index) => index + 1);
const newSeeds = Array.from({ length: 2 }, () => crypto.getRandomValues(new Uint32Array(1))[0] ?? 0);

/** The share of messages that devices must receive. A remote server does not list the connection of a device that is offline. */
const leastShares = { embedded: 0.4, conversations: 0.3, remote: 0.25 } as const;

describe.each(worldKinds)("%s", (kind) => {
  const total: Counts = { ...noCounts };
  const conversations: ConversationCounts = { ...noConversationCounts };

  test.each([...fixedSeeds, ...newSeeds])(
    "every message runs at most once, and each response says what happened (seed %i)",
    async (seed) => {
      const run = { seed, steps, kind };
      const result = await runSeed(run);
      for (const name of countNames) total[name] += result.counts[name];
      for (const name of conversationCountNames) conversations[name] += result.conversations[name];
      expect(result.violations.length === 0 ? "" : await describeFailure(run, result)).toBe("");
    },
    60_000,
  );

  test("enough messages are sent and delivered despite the faults", () => {
    process.stdout.write(`${kind}: ${JSON.stringify(total)}, new seeds ${newSeeds.join(", ")}\n`);
    expect(total.sends).toBeGreaterThan(kind === "conversations" ? 500 : 1_000);
    expect(total.delivered).toBeGreaterThan(total.sends * leastShares[kind]);
  });

  test("the simulation covers turns that run, stop and need approval, event readers and viewers", () => {
    process.stdout.write(`${kind}: ${JSON.stringify(conversations)}\n`);
    const least = kind === "conversations" ? 3 : 0;
    const rare: readonly string[] = ["gaps", "late decisions"];
    const missing = conversationCountNames.filter((name) => !rare.includes(name) && conversations[name] < least);
    expect(missing).toEqual([]);
  });

  test("no outcome is unknown without faults", async () => {
    const { violations, counts } = await runSeed({ seed: 1, steps, kind, without: new Set(faultKinds) });
    expect(violations).toEqual([]);
    expect(counts).toMatchObject({ unknown: 0, doubled: 0, untyped: 0 });
    expect(counts.delivered).toBeGreaterThan(30);
  });

  test("the same seed gives the same events", async () => {
    const run = { seed: 1, steps, kind };
    expect((await runSeed(run)).digest).toBe((await runSeed(run)).digest);
  });
});
