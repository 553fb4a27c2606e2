import { expect, test } from "vitest";
import { createVirtualClock } from "../virtual-clock.ts";
import { createSimulatedProcess, type StoreFaultRates } from "./process.ts";
import { createRandom } from "./random.ts";

const noFaults: StoreFaultRates = { reject: 0, slow: 0, slowMs: 0 };

function setUp(rates: StoreFaultRates) {
  const clock = createVirtualClock();
  const process = createSimulatedProcess(clock, createRandom(1));
  const written: string[] = [];
  const failures: boolean[] = [];
  const store = process.withFaults(
    {
      write: (text: string) => Promise.resolve(written.push(text)),
      count: () => written.length,
    },
    {
      synchronous: ["count"],
      rates: () => rates,
      error: (method) => new Error(`${method} failed`),
      onFailure: (_method, _values, acted) => void failures.push(acted),
    },
  );
  return { clock, process, store, written, failures };
}

test("a killed process runs no timer, and leaves none", async () => {
  const { clock, process } = setUp(noFaults);
  let runs = 0;
  process.clock.setTimer(10, () => (runs += 1));
  process.kill();
  expect(clock.timerCount).toBe(0);
  await clock.advance(100);
  expect(runs).toBe(0);
});

test("a call that is in flight when the process is killed has no effect and never returns", async () => {
  const { clock, process, store, written } = setUp({ reject: 0, slow: 1, slowMs: 10 });
  let isSettled = false;
  void store.write("late").finally(() => (isSettled = true));
  process.kill();
  await clock.advance(1_000);
  expect([written, isSettled]).toEqual([[], false]);
  expect(() => store.count()).toThrow("the process was killed");
});

test("failing calls are reported, and some fail after they took effect", async () => {
  const { store, written, failures } = setUp({ reject: 1, slow: 0, slowMs: 0 });
  for (let count = 0; count < 20; count++) await expect(store.write("x")).rejects.toThrow("write failed");
  expect(written.length).toBe(failures.filter(Boolean).length);
  expect(new Set(failures)).toEqual(new Set([true, false]));
});

test("a store without faults works normally", async () => {
  const { store, written } = setUp(noFaults);
  await store.write("x");
  expect([written, store.count()]).toEqual([["x"], 1]);
});
