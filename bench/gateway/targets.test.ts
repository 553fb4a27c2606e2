import { expect, test } from "vitest";
import type { LoadName } from "./loads.ts";
import type { Measured } from "./measure-rounds.ts";
import type { CoreUse } from "./slice.ts";
import { goalsOfLoad } from "./targets.ts";

const core: CoreUse = { wallUs: 1_000_000, busyUs: 0, stolenUs: 0, ownUs: 0 };

/** One round: requests of each server in a second, at a CPU time of 1 s. */
function goals(
  load: LoadName,
  requests: Readonly<Record<string, number>>,
  { peers = [], dropped = [] }: { readonly peers?: readonly string[]; readonly dropped?: readonly string[] } = {},
) {
  const slices = Object.entries(requests).map(([system, count]): Measured => {
    const figures = { requests: count, failed: 0, seconds: 1, p50Us: 1, p99Us: 1e8 / count, cpuUs: 1e6 };
    return { load, system, round: 0, slice: { ...figures, gatewayCore: core, loadCore: core } };
  });
  const measured = { slices, dropped: new Map(dropped.map((system) => [system, 3])) };
  return goalsOfLoad(load, measured, new Map(peers.map((peer) => [peer, peer])));
}

test("a goal is met or missed by the ratio to nginx in the same round", () => {
  expect(goals("miss-one", { nginx: 100, node: 35, bun: 40 })).toEqual([
    { goal: "miss-one on node, x nginx: at least 0.35", shown: "0.35", met: true },
    { goal: "miss-one on bun, x nginx: at least 0.45", shown: "0.40", met: false },
  ]);
});

test("the comparison uses the best peer of the run", () => {
  const found = goals("hit-one", { node: 30, fastify: 10, express: 25 }, { peers: ["fastify", "express"] });
  expect(found).toEqual([
    { goal: "hit-one on node, x the best JavaScript peer (express): at least 1.5", shown: "1.20", met: false },
  ]);
});

test("durability costs the difference to the same gateway with its data in memory", () => {
  const found = goals("send", { node: 10_000, "node-disk": 8_000 });
  expect(found).toEqual([
    { goal: "what durability adds to a send on node, CPU us: at most 40", shown: "25", met: true },
  ]);
});

test("a hit on Deno and workerd is compared with the bare server of that runtime", () => {
  expect(goals("hit-list", { deno: 60, "bare-deno": 100, workerd: 80, "bare-workerd": 100 })).toEqual([
    { goal: "hit-list on deno, share of bare-deno: at least 0.7", shown: "0.60", met: false },
    { goal: "hit-list on workerd, share of bare-workerd: at least 0.7", shown: "0.80", met: true },
  ]);
});

test("a goal is missed when every slice of a server that it needs was disturbed", () => {
  expect(goals("miss-one", { nginx: 100 }, { peers: ["express"], dropped: ["node", "express"] })).toEqual([
    { goal: "miss-one on node, x nginx: at least 0.35", shown: "every slice was disturbed", met: false },
    {
      goal: "miss-one on node, x the best JavaScript peer: at least 1",
      shown: "every slice was disturbed",
      met: false,
    },
  ]);
});

test("a goal is left out without its servers", () => {
  expect(goals("hit-one", { node: 30 })).toEqual([]);
});
