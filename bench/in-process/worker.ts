/** The parts that workers share: steps that are measured by CPU time in interleaved slices, and the memory that a program holds. */
import process from "node:process";

const warmUpRounds = 4;
const rounds = 10;

/**
 * Runs each step once a round, and prints nanoseconds a call as JSON: one list of samples a step.
 *
 * @param callsOf how many calls a step makes
 */
export async function printSamples(
  steps: Readonly<Record<string, () => void | Promise<void>>>,
  callsOf: (step: string) => number,
): Promise<void> {
  const samples = new Map<string, number[]>(Object.keys(steps).map((name) => [name, []]));
  for (let round = -warmUpRounds; round < rounds; round++) {
    for (const [name, run] of Object.entries(steps)) {
      const before = process.cpuUsage();
      const running = run();
      if (running instanceof Promise) await running;
      const { user, system } = process.cpuUsage(before);
      if (round >= 0) samples.get(name)?.push(((user + system) * 1_000) / callsOf(name));
    }
  }
  process.stdout.write(
    `${JSON.stringify({ version: process.versions["bun"] ?? process.version, samples: [...samples] })}\n`,
  );
}

/** Bytes that the program holds after its garbage was collected; in Bun, of the whole process. */
export async function bytesHeld(): Promise<number> {
  const bun = (globalThis as { readonly Bun?: { gc(force: boolean): void } }).Bun;
  for (let times = 0; times < 3; times++) {
    if (bun === undefined) globalThis.gc?.();
    else bun.gc(true);
    await new Promise((resolve) => void setTimeout(resolve, 20));
  }
  const { heapUsed, arrayBuffers, rss } = process.memoryUsage();
  return bun === undefined ? heapUsed + arrayBuffers : rss;
}
