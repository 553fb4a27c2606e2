import process from "node:process";
import { latencyLoads, originId } from "./added-latency.ts";
import { assertServes } from "./assert-serves.ts";
import { type LoadName, requestOf } from "./loads.ts";
import { type MeasuredLoad, measureRounds, type Participant, type RoundOptions } from "./measure-rounds.ts";
import { type Origin, startOrigin } from "./servers/start-origin.ts";
import type { RunningSystem, System } from "./system.ts";

/** Gateways in front of the origin, measured. */
export interface MeasuredRemote {
  readonly loads: ReadonlyMap<LoadName, MeasuredLoad>;
  /** With one request at a time, the origin alone included; empty if it was not wanted. */
  readonly latency: ReadonlyMap<LoadName, MeasuredLoad>;
}

/** The options of the gateways in front of the origin. */
export interface RemoteOptions {
  readonly loads: readonly LoadName[];
  readonly rounds: RoundOptions;
  /** `null` if latency is not wanted. */
  readonly latencyRounds: RoundOptions | null;
}

/** Starts the origin and all systems, makes sure that they do what their rows claim, and measures one load after the other. */
export async function measureRemote(systems: readonly System[], options: RemoteOptions): Promise<MeasuredRemote> {
  const origin = await startOrigin();
  const running = new Map<System, RunningSystem>();
  try {
    for (const system of systems) {
      process.stderr.write(`starting ${system.name}\n`);
      const server = await system.start(origin.url);
      running.set(system, server);
      await assertServes(system, server, origin.countRequests);
    }
    const loads = new Map<LoadName, MeasuredLoad>();
    for (const load of options.loads) {
      loads.set(load, await measureRounds(load, participantsOf(load, running, origin), options.rounds));
    }
    const latency = new Map<LoadName, MeasuredLoad>();
    for (const load of options.latencyRounds === null ? [] : latencyLoads) {
      const participants = [originAlone(load, origin), ...participantsOf(load, running, origin)];
      latency.set(load, await measureRounds(load, participants, options.latencyRounds ?? options.rounds));
    }
    return { loads, latency };
  } finally {
    await Promise.allSettled([...running.values()].map((server) => server.stop()));
    await origin.stop();
  }
}

function participantsOf(
  load: LoadName,
  running: ReadonlyMap<System, RunningSystem>,
  origin: Origin,
): readonly Participant[] {
  return [...running]
    .filter(([{ loads }]) => loads.includes(load))
    .map(([{ id }, { key, pid, helpers, portOf }]) => ({
      system: id,
      port: portOf(load),
      request: requestOf(load, key ?? "none"),
      pid,
      helpers: [...helpers, ...origin.pids],
    }));
}

function originAlone(load: LoadName, { url, pid, pids }: Origin): Participant {
  return { system: originId, port: Number(new URL(url).port), request: requestOf(load, "none"), pid, helpers: pids };
}
