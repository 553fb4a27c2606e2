/** The targets of the gateway, compared with what was measured. A target whose servers were not measured is left out. */
import type { Goal } from "../harness/result.ts";
import type { Summary } from "../harness/statistics.ts";
import type { LoadName } from "./loads.ts";
import type { MeasuredLoad } from "./measure-rounds.ts";
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

/** A figure; `disturbed` if every slice that it needs was dropped, and absent if its servers were not to be measured. */
type Value = number | "disturbed" | undefined;

/** The goals of a load. `peers` has the names of the JavaScript peers by system. */
export function goalsOfLoad(
  load: LoadName,
  measured: MeasuredLoad,
  peers: ReadonlyMap<string, string>,
): readonly Goal[] {
  const { slices, dropped } = measured;
  const valueOf = (summary: Summary | null, ...systems: readonly string[]): Value =>
    summary?.median ??
    (systems.every((name) => dropped.has(name) || slices.some(({ system }) => system === name))
      ? "disturbed"
      : undefined);
  const ratio = (system: string, base: string, figure = perSecond): Value =>
    valueOf(summariseRatio(slices, system, base, figure), system, base);
  const cpuUs = (system: string): Value => valueOf(summariseFigure(slices, system, cpuUsEach), system);
  const isHit = load.startsWith("hit-");

  return [
    ...serverRuntimes.flatMap((runtime) => [
      ...atLeast(`${load} on ${runtime}, x nginx`, ratio(runtime, "nginx"), toNginx[load]?.[runtime]),
      ...atMost(
        `p99 of ${load} on ${runtime}, x nginx`,
        ratio(runtime, "nginx", ({ p99Us }) => p99Us),
        isHit ? p99ToNginx : undefined,
      ),
      ...atMost(`${load} on ${runtime}, CPU us`, cpuUs(runtime), embeddedCpuUs[load]),
      ...beatsBest(
        `${load} on ${runtime}, x the best JavaScript peer`,
        [...peers].map(([peer, name]) => [name, ratio(runtime, peer)]),
        isHit ? toBestPeer.hit : toBestPeer.other,
      ),
      ...atMost(
        `what durability adds to a send on ${runtime}, CPU us`,
        difference(cpuUs(`${runtime}-disk`), cpuUs(runtime)),
        load === "send" ? durabilityCpuUs : undefined,
      ),
    ]),
    ...Object.entries(bareServers).flatMap(([runtime, bare]) =>
      atLeast(`${load} on ${runtime}, share of ${bare}`, ratio(runtime, bare), isHit ? toBare : undefined),
    ),
  ];
}

function beatsBest(text: string, ratios: readonly (readonly [string, Value])[], least: number): readonly Goal[] {
  const known = ratios.flatMap(([name, ratio]) => (typeof ratio === "number" ? [{ name, ratio }] : []));
  const [closest] = known.toSorted((left, right) => left.ratio - right.ratio);
  return closest === undefined
    ? atLeast(text, ratios.find(([, ratio]) => ratio !== undefined)?.[1], least)
    : atLeast(`${text} (${closest.name})`, closest.ratio, least);
}

function difference(left: Value, right: Value): Value {
  if (left === undefined || right === undefined) return undefined;
  return left === "disturbed" || right === "disturbed" ? "disturbed" : left - right;
}

/** A goal that a figure is at least so large; none without a figure or a target. */
export function atLeast(text: string, value: Value, least: number | undefined): readonly Goal[] {
  return goal(`${text}: at least ${least}`, value, least, (figure, bound) => figure >= bound);
}

/** A goal that a figure is at most so large; none without a figure or a target. */
export function atMost(text: string, value: Value, most: number | undefined): readonly Goal[] {
  return goal(`${text}: at most ${most}`, value, most, (figure, bound) => figure <= bound);
}

function goal(
  text: string,
  value: Value,
  bound: number | undefined,
  isMet: (figure: number, bound: number) => boolean,
): readonly Goal[] {
  if (value === undefined || bound === undefined) return [];
  if (value === "disturbed") return [{ goal: text, shown: "every slice was disturbed", met: false }];
  return [{ goal: text, shown: value.toFixed(value < 10 ? 2 : 0), met: isMet(value, bound) }];
}
