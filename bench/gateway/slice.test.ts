import { expect, test } from "vitest";
import { type CoreUse, isDisturbed, type Slice } from "./slice.ts";

const quiet: CoreUse = { wallUs: 1_000_000, busyUs: 990_000, stolenUs: 0, ownUs: 980_000 };
const slice: Slice = {
  requests: 1,
  failed: 0,
  seconds: 1,
  p50Us: 1,
  p99Us: 1,
  cpuUs: 1,
  gatewayCore: quiet,
  loadCore: quiet,
};

test("a slice is kept if the measurement itself explains the load of the cores", () => {
  expect(isDisturbed(slice)).toBe(false);
  // Times of processes are exact, those of cores count in ticks and may be smaller.
  expect(isDisturbed({ ...slice, gatewayCore: { ...quiet, busyUs: 900_000 } })).toBe(false);
});

test.each<[string, Partial<CoreUse>]>([
  ["another process used the core", { ownUs: 900_000 }],
  ["the hypervisor took the core away", { busyUs: 900_000, ownUs: 900_000, stolenUs: 60_000 }],
])("a slice is dropped when %s, for the gateway or the load generator", (_, use) => {
  const disturbed = { ...quiet, ...use };
  expect(isDisturbed({ ...slice, gatewayCore: disturbed })).toBe(true);
  expect(isDisturbed({ ...slice, loadCore: disturbed })).toBe(true);
  expect(isDisturbed({ ...slice, loadCore: disturbed }, 0.1)).toBe(false);
});
