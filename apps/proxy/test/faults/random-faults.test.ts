/** Many sends through random TCP faults, on every runtime. `pnpm soak` sends more: the variable FAULTED_SENDS. */
import process from "node:process";
import { expect, test } from "vitest";
import { createServerLauncher } from "../runtimes/server-launcher.ts";
import { countNames } from "../simulation/truth.ts";
import {
  type GatewayUnderFaults,
  startGatewayUnderFaults,
  type UpstreamKind,
  upstreamKinds,
} from "./gateway-under-faults.ts";
import { sendThroughFaults } from "./random-faults.ts";

const count = Number(process.env["FAULTED_SENDS"] ?? 150);

/**
 * The share of sends that must arrive. A send is not sent again if its connection to a remote upstream broke, or the socket of its device, even if it
 * had not arrived.
 */
const leastShares: Readonly<Record<UpstreamKind, number>> = { embedded: 0.4, remote: 0.4 };

async function sendAndStop(gateway: GatewayUnderFaults, seed: number): ReturnType<typeof sendThroughFaults> {
  try {
    return await sendThroughFaults(gateway, count, seed);
  } finally {
    await gateway.stop();
  }
}

/** Sends through one gateway, and returns what must not be. */
async function sendThrough(runtime: "node" | "bun" | "deno", kind: UpstreamKind): Promise<readonly string[]> {
  const gateway = await startGatewayUnderFaults(createServerLauncher(runtime), kind);
  const seed = crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
  const { counts, faults, contradictions } = await sendAndStop(gateway, seed);
  const name = `${runtime}, ${kind} upstream, seed ${seed}`;
  const words = countNames.map((countName) => `${counts[countName]} ${countName}`);
  process.stdout.write(`${name}: ${words.join(", ")}; ${faults} faults\n`);
  const isSound = counts.sends === count && counts.doubled === 0 && counts.untyped === 0;
  // Most sends arrive, and many exchanges break: otherwise nothing is proven.
  const isProof = counts.delivered > count * leastShares[kind] && faults > count * 0.1;
  return [...contradictions, ...(isSound && isProof ? [] : [`${name}: ${words.join(", ")}`])];
}

test.each(["node", "bun", "deno"] as const)(
  "on %s, random faults on both hops deliver no message twice, and every send has a typed outcome",
  async (runtime) => {
    const found = await Promise.all(upstreamKinds.map((kind) => sendThrough(runtime, kind)));
    // One text, so that a report of the failure shows it.
    expect(found.flat().join("\n")).toBe("");
  },
  60_000 + count * 200,
);
