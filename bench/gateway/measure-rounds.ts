import process from "node:process";
import { type CoreTimes, cpuUsOf, cpuUsOfTree, endedChildrenCpuUs, timesOfCore } from "../harness/proc.ts";
import type { LoadName, LoadRequest } from "./loads.ts";
import { gatewayCore, loadCore, type LoadOptions, runLoad } from "./run-load.ts";
import { type CoreUse, isDisturbed, type Slice } from "./slice.ts";

/** A server and the request that it gets. */
export interface Participant {
  readonly system: string;
  readonly port: number;
  readonly request: LoadRequest;
  /** The server's process. */
  readonly pid: number;
  /** Processes that work for it on the load's core: the origin, and what starts workerd. */
  readonly helpers: readonly number[];
}

/** A slice that was not disturbed. */
export interface Measured {
  readonly load: LoadName;
  readonly system: string;
  readonly round: number;
  readonly slice: Slice;
}

/** The slices of one load. */
export interface MeasuredLoad {
  readonly slices: readonly Measured[];
  /** How many slices of each server were dropped. */
  readonly dropped: ReadonlyMap<string, number>;
}

/** How long and how often. */
export interface RoundOptions {
  readonly rounds: number;
  readonly seconds: number;
  readonly connections: number;
  readonly warmUpSeconds: number;
  /** Share of a core that others may use in a slice that is kept. */
  readonly toleratedShare: number;
}

/** How often a disturbed slice is repeated within its round. */
const repeats = 2;

/**
 * Sends load to the servers in turn, in rounds that each begin with another server. A disturbed slice is dropped and repeated at once, so that
 * the slices of a round stay close to each other.
 *
 * @throws Error if a request failed in a slice that was not disturbed
 */
export async function measureRounds(
  load: LoadName,
  participants: readonly Participant[],
  { rounds, seconds, connections, warmUpSeconds, toleratedShare }: RoundOptions,
): Promise<MeasuredLoad> {
  for (const participant of participants) {
    await measureSlice(participant, { port: participant.port, connections, seconds: warmUpSeconds });
  }
  const slices: Measured[] = [];
  const dropped = new Map<string, number>();
  for (let round = 0; round < rounds; round++) {
    const first = round % participants.length;
    for (const participant of [...participants.slice(first), ...participants.slice(0, first)]) {
      const { system, port } = participant;
      for (let attempt = 0; attempt <= repeats; attempt++) {
        const slice = await measureSlice(participant, { port, connections, seconds });
        if (counts(slice, toleratedShare, `${load} of ${system}`)) {
          slices.push({ load, system, round, slice });
          break;
        }
        dropped.set(system, (dropped.get(system) ?? 0) + 1);
      }
    }
    const drops = [...dropped].map(([system, times]) => `, ${system} ${times}`).join("");
    process.stderr.write(
      `${load}: round ${round + 1} of ${rounds}; slices dropped so far: ${drops.slice(2) || "none"}\n`,
    );
  }
  return { slices, dropped };
}

/** Whether a slice is a valid measurement of its server. */
function counts(slice: Slice, toleratedShare: number, what: string): boolean {
  if (slice.failed > 0 && !isDisturbed(slice)) {
    throw new Error(`${what}: ${slice.failed} of ${slice.requests} requests failed.`);
  }
  return slice.requests > 0 && slice.failed === 0 && !isDisturbed(slice, toleratedShare);
}

interface Reading {
  readonly wallUs: number;
  readonly serverUs: number;
  readonly loadUs: number;
  readonly cores: readonly CoreTimes[];
}

async function measureSlice(participant: Participant, options: LoadOptions): Promise<Slice> {
  const { system, request, pid, helpers } = participant;
  try {
    const before = read(pid, helpers);
    const figures = await runLoad(request, options);
    const after = read(pid, helpers);
    const cpuUs = after.serverUs - before.serverUs;
    return {
      ...figures,
      cpuUs,
      gatewayCore: useOf(before, after, 0, cpuUs),
      loadCore: useOf(before, after, 1, after.loadUs - before.loadUs),
    };
  } catch (cause) {
    throw new Error(`${system} cannot be measured.`, { cause });
  }
}

function read(pid: number, helpers: readonly number[]): Reading {
  const { user, system } = process.cpuUsage();
  return {
    wallUs: performance.now() * 1_000,
    serverUs: cpuUsOfTree(pid),
    loadUs: user + system + endedChildrenCpuUs() + helpers.reduce((sum, helper) => sum + cpuUsOf(helper), 0),
    cores: [timesOfCore(gatewayCore), timesOfCore(loadCore)],
  };
}

function useOf(before: Reading, after: Reading, index: 0 | 1, ownUs: number): CoreUse {
  const [earlier, later] = [before.cores[index], after.cores[index]];
  return {
    wallUs: after.wallUs - before.wallUs,
    busyUs: (later?.busyUs ?? 0) - (earlier?.busyUs ?? 0),
    stolenUs: (later?.stolenUs ?? 0) - (earlier?.stolenUs ?? 0),
    ownUs,
  };
}
