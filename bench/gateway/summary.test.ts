import { expect, test } from "vitest";
import type { Measured } from "./measure-rounds.ts";
import type { CoreUse } from "./slice.ts";
import { summariseFigure, summariseRatio, tableOfLoad } from "./summary.ts";

const core: CoreUse = { wallUs: 1_000_000, busyUs: 0, stolenUs: 0, ownUs: 0 };

function measured(system: string, round: number, requests: number): Measured {
  const slice = {
    requests,
    failed: 0,
    seconds: 1,
    p50Us: 1,
    p99Us: 2_000,
    cpuUs: 1_000,
    gatewayCore: core,
    loadCore: core,
  };
  return { load: "hit-one", system, round, slice };
}

const slices = [
  measured("nginx", 0, 100),
  measured("node", 0, 50),
  measured("nginx", 1, 200),
  measured("node", 1, 80),
  // The slice of nginx in this round was dropped.
  measured("node", 2, 1_000),
];
const requests = (slice: Measured["slice"]): number => slice.requests;

test("a ratio is taken within a round, and rounds in which either slice was dropped have none", () => {
  expect(summariseRatio(slices, "node", "nginx", requests)).toEqual({ min: 0.4, median: 0.45, max: 0.5 });
});

test("a server without a slice has no figures", () => {
  expect(summariseRatio(slices, "bun", "nginx", requests)).toBeNull();
  expect(summariseRatio(slices, "node", "bun", requests)).toBeNull();
  expect(summariseFigure(slices, "bun", requests)).toBeNull();
});

test("a table says how many slices were kept and dropped, and has a row for a server without any", () => {
  const names = new Map([
    ["nginx", "nginx/1.26.3"],
    ["node", "gateway on Node"],
    ["bun", "gateway on Bun"],
  ]);
  const dropped = new Map([
    ["node", 1],
    ["bun", 9],
  ]);
  const { rows } = tableOfLoad("hit-one", { slices, dropped }, names, "1 s");
  expect(rows).toEqual([
    ["nginx/1.26.3", "1.00", "7.5 (5.0 to 10.0)", "2.00", "150 (100 to 200)", "2 (0)"],
    ["gateway on Node", "0.45 (0.40 to 0.50)", "12.5 (1.0 to 20.0)", "2.00", "80 (50 to 1000)", "3 (1)"],
    ["gateway on Bun", "-", "-", "-", "-", "0 (9)"],
  ]);
});

test("a table without nginx has no ratios to it", () => {
  const names = new Map([["node", "gateway on Node"]]);
  const { columns } = tableOfLoad("hit-one", { slices, dropped: new Map() }, names, "1 s");
  expect(columns).toEqual(["server", "CPU us a request", "p99 ms", "requests/s", "slices (dropped)"]);
});
