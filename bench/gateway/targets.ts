/** The targets of the gateway, compared with what was measured. A target whose servers were not measured is left out. */
import type { Goal } from "../harness/result.ts";
import type { LoadName } from "./loads.ts";
import type { Measured } from "./measure-rounds.ts";
import { cpuUsEach, perSecond } from "./slice.ts";
import { summariseFigure, summariseRatio } from "./summary.ts";

interface RuntimeTargets {
  readonly node: number;
  readonly bun: number;
}

/** Smallest ratio of requests a second to nginx. */
const toNginx: Readonly<Partial<Record<LoadName, RuntimeTargets>>> = {
  "hit-one": { node: 0.7, bun: 0.8 },
  "hit-list": { node: 0.55, bun: 0.75 },
  "miss-one": { node: 0.35, bun: 0.45 },
  "miss-list": { node: 0.25, bun: 0.3 },
  send: { node: 0.25, bun: 0.3 },
};
/** Largest CPU time of a request with the embedded server, in microseconds. */
const embeddedCpuUs: Readonly<Partial<Record<LoadName, number>>> = {
  "embedded-get": 30,
  "embedded-list": 60,
  "embedded-send": 150,
};
/** Largest CPU time that durability adds to a send, in microseconds. */
const durabilityCpuUs = 40;
/** Largest ratio of the p99 of a hit to nginx's. */
const p99ToNginx = 3;
/** Smallest share of the bare server's requests a second that a hit has. */
const toBare = 0.7;
/** Smallest ratio to the best JavaScript peer. */
const toBestPeer = { hit: 1.5, other: 1 };

const serverRuntimes = ["node", "bun"] as const;
const bareServers = { deno: "bare-deno", workerd: "bare-workerd" } as const;

/** The goals of a load. `peers` has the names of the JavaScript peers by system. */
export function goalsOfLoad(
  load: LoadName,
  slices: readonly Measured[],
  peers: ReadonlyMap<string, string>,
): readonly Goal[] {
  const isHit = load.startsWith("hit-");
  return [
    ...serverRuntimes.flatMap((runtime) => [
      ...atLeast(
        `${load} on ${runtime}, x nginx`,
        summariseRatio(slices, runtime, "nginx", perSecond)?.median,
        toNginx[load]?.[runtime],
      ),
      ...(isHit ? atMostP99(load, runtime, slices) : []),
      ...atMost(
        `${load} on ${runtime}, CPU us`,
        summariseFigure(slices, runtime, cpuUsEach)?.median,
        embeddedCpuUs[load],
      ),
      ...beatsPeers(load, runtime, slices, peers),
    ]),
    ...(load === "send" ? serverRuntimes.flatMap((runtime) => durability(runtime, slices)) : []),
    ...Object.entries(bareServers).flatMap(([runtime, bare]) =>
      isHit
        ? atLeast(
            `${load} on ${runtime}, share of ${bare}`,
            summariseRatio(slices, runtime, bare, perSecond)?.median,
            toBare,
          )
        : [],
    ),
  ];
}

function atMostP99(load: LoadName, runtime: string, slices: readonly Measured[]): readonly Goal[] {
  const ratio = summariseRatio(slices, runtime, "nginx", ({ p99Us }) => p99Us);
  return atMost(`p99 of ${load} on ${runtime}, x nginx`, ratio?.median, p99ToNginx);
}

function beatsPeers(
  load: LoadName,
  runtime: string,
  slices: readonly Measured[],
  peers: ReadonlyMap<string, string>,
): readonly Goal[] {
  const ratios = [...peers].flatMap(([peer, name]) => {
    const ratio = summariseRatio(slices, runtime, peer, perSecond);
    return ratio === null ? [] : [{ name, ratio: ratio.median }];
  });
  const [closest] = ratios.toSorted((left, right) => left.ratio - right.ratio);
  if (closest === undefined) return [];
  const least = load.startsWith("hit-") ? toBestPeer.hit : toBestPeer.other;
  return atLeast(`${load} on ${runtime}, x the best JavaScript peer (${closest.name})`, closest.ratio, least);
}

function durability(runtime: string, slices: readonly Measured[]): readonly Goal[] {
  const [inMemory, onDisk] = [runtime, `${runtime}-disk`].map((system) => summariseFigure(slices, system, cpuUsEach));
  if (!inMemory || !onDisk) return [];
  const added = onDisk.median - inMemory.median;
  return atMost(`what durability adds to a send on ${runtime}, CPU us`, added, durabilityCpuUs);
}

/** A goal that a figure is at least so large; none without a figure or a target. */
export function atLeast(text: string, value: number | undefined, least: number | undefined): readonly Goal[] {
  if (value === undefined || least === undefined) return [];
  return [{ goal: `${text}: at least ${least}`, shown: value.toFixed(2), met: value >= least }];
}

/** A goal that a figure is at most so large; none without a figure or a target. */
export function atMost(text: string, value: number | undefined, most: number | undefined): readonly Goal[] {
  if (value === undefined || most === undefined) return [];
  return [{ goal: `${text}: at most ${most}`, shown: value.toFixed(1), met: value <= most }];
}
