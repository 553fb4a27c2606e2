import { randomBytes, randomInt } from "node:crypto";
import process from "node:process";
import { createKey } from "../apps/proxy/src/keys/key-lifecycle.ts";
import type { Digests } from "../apps/proxy/src/ports.ts";
import { verifyKey } from "../apps/proxy/src/auth/gateway-key.ts";
import type { BenchmarkResult } from "./harness/result.ts";
import { quantile, welchT } from "./harness/statistics.ts";
import { digests } from "./in-process/warm-authentication.ts";

/** Samples of each of the two classes. */
const sampleCount = 100_000;
/** Comparisons in one sample: the clock is coarser than one comparison. */
const comparisonsInSample = 8;
/** Where |t| counts as a difference: the usual threshold of leakage tests. */
const threshold = 4.5;
/** Slowest part of all samples that is left out: interruptions, which have nothing to do with what is compared. */
const keptFraction = 0.95;
const pairCount = 256;

/** One digest, and two that differ from it in their first and in their last character. */
interface Pair {
  readonly digest: string;
  readonly early: string;
  readonly late: string;
}

/** Something that compares a presented digest with a stored one; the answer is always no. */
interface Candidate {
  readonly name: string;
  /** The result that the control must have for the test to be meaningful. */
  readonly expected: "no difference" | "difference";
  readonly pairs: readonly Pair[];
  readonly compare: (pair: Pair, stored: string) => boolean;
}

const pepper = { id: "bench", secret: new Uint8Array(randomBytes(32)) };
const { key, record } = createKey({ name: "bench", tenant: "default", scopes: ["read"] }, 0, {
  digests,
  pepper,
  randomBytes,
});

const anyPairs = Array.from({ length: pairCount }, () => pairOf(randomBytes(32).toString("hex")));
// verifyKey compares with the digest of its own key.
const keyPairs = [pairOf(digests.hmacSha256(pepper.secret, key))];

const candidates: readonly Candidate[] = [
  {
    name: "constantTimeEqual of packages/platform",
    expected: "no difference",
    pairs: anyPairs,
    compare: ({ digest }, stored) => digests.constantTimeEqual(digest, stored),
  },
  {
    name: "verifyKey, HMAC included",
    expected: "no difference",
    pairs: keyPairs,
    compare: (_pair, stored) => verifies(stored, digests),
  },
  {
    name: "control: a comparison that stops at the first difference",
    expected: "difference",
    pairs: anyPairs,
    compare: ({ digest }, stored) => stopsEarly(digest, stored),
  },
  {
    name: "control: verifyKey with that comparison",
    expected: "difference",
    pairs: keyPairs,
    compare: (_pair, stored) => verifies(stored, { ...digests, constantTimeEqual: stopsEarly }),
  },
];

/**
 * Whether the time of a comparison tells where two digests first differ: Welch's t-test between digests that differ in their
 * first and in their last character, in random order. A comparison that does leak is the control.
 */
export function measureDigestComparison(): BenchmarkResult {
  const measured = candidates.map((candidate) => {
    takeSamples(candidate, sampleCount / 10);
    const { early, late } = takeSamples(candidate, sampleCount);
    const limit = quantile([...early, ...late], keptFraction);
    const [keptEarly, keptLate] = [early, late].map((samples) => samples.filter((sample) => sample <= limit));
    if (keptEarly === undefined || keptLate === undefined) throw new Error("unreachable");
    const t = welchT(keptEarly, keptLate);
    return {
      name: candidate.name,
      expected: candidate.expected,
      found: Math.abs(t) > threshold ? ("difference" as const) : ("no difference" as const),
      t,
      medianEarlyNs: quantile(keptEarly, 0.5) / comparisonsInSample,
      medianLateNs: quantile(keptLate, 0.5) / comparisonsInSample,
    };
  });
  return {
    tables: [
      {
        caption: `Two times ${sampleCount.toLocaleString("en")} samples of ${comparisonsInSample} comparisons; a difference is |t| > ${threshold}.`,
        columns: ["comparison", "first differs in the first character, ns", "in the last, ns", "t", "found"],
        rows: measured.map(({ name, medianEarlyNs, medianLateNs, t, found }) => [
          name,
          medianEarlyNs.toFixed(0),
          medianLateNs.toFixed(0),
          t.toFixed(1),
          found,
        ]),
      },
    ],
    goals: measured.map(({ name, expected, found, t }) => ({
      goal: `${name}: ${expected}`,
      shown: `t = ${t.toFixed(1)}`,
      met: expected === found,
    })),
    data: measured,
  };
}

function takeSamples(
  { compare, pairs }: Candidate,
  count: number,
): { readonly early: Float64Array; readonly late: Float64Array } {
  const [early, late] = [new Float64Array(count), new Float64Array(count)];
  const order = shuffledClasses(count);
  let [earlyCount, lateCount, equal] = [0, 0, 0];
  for (let index = 0; index < order.length; index++) {
    const pair = pairs[index % pairs.length];
    if (pair === undefined) throw new Error("There is no pair.");
    const isEarly = order[index] === 0;
    const stored = isEarly ? pair.early : pair.late;
    const startedAt = process.hrtime.bigint();
    for (let call = 0; call < comparisonsInSample; call++) equal += compare(pair, stored) ? 1 : 0;
    const ns = Number(process.hrtime.bigint() - startedAt);
    if (isEarly) early[earlyCount++] = ns;
    else late[lateCount++] = ns;
  }
  if (equal > 0) throw new Error("Two digests that differ were taken for equal.");
  return { early, late };
}

/** As many zeros as ones, in random order: what changes over time then meets both classes alike. */
function shuffledClasses(count: number): Uint8Array {
  const order = new Uint8Array(2 * count).fill(1, count);
  for (let index = order.length - 1; index > 0; index--) {
    const other = randomInt(index + 1);
    [order[index], order[other]] = [order[other] ?? 0, order[index] ?? 0];
  }
  return order;
}

function pairOf(digest: string): Pair {
  const other = (character: string): string => (character === "0" ? "1" : "0");
  // Flat texts of their own, as a store reads them, not views into one another.
  const own = (text: string): string => Buffer.from(text, "latin1").toString("latin1");
  return {
    digest,
    early: own(other(digest.charAt(0)) + digest.slice(1)),
    late: own(digest.slice(0, -1) + other(digest.charAt(digest.length - 1))),
  };
}

function verifies(digest: string, hashes: Digests): boolean {
  const secrets = [{ digest, pepperId: pepper.id, createdAt: 0, expiresAt: null }];
  return verifyKey(key, { ...record, secrets }, pepper, hashes) !== null;
}

function stopsEarly(left: string, right: string): boolean {
  for (let index = 0; index < left.length; index++) {
    if (left.charCodeAt(index) !== right.charCodeAt(index)) return false;
  }
  return true;
}
