import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { randomId, sleep, startAlarm } from "./platform.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A signal that counts its listeners. */
function createCountedSignal() {
  const controller = new AbortController();
  const { signal } = controller;
  const listeners = new Set<unknown>();
  const add = signal.addEventListener.bind(signal);
  const remove = signal.removeEventListener.bind(signal);
  signal.addEventListener = (type: string, listener: EventListener) => (listeners.add(listener), add(type, listener));
  signal.removeEventListener = (type: string, listener: EventListener) => (
    listeners.delete(listener),
    remove(type, listener)
  );
  return { controller, signal, listeners };
}

test.each([
  ["the delay passes", (_controller: AbortController) => vi.advanceTimersByTime(1_000)],
  ["the signal is aborted", (controller: AbortController) => controller.abort()],
])("an alarm rings once when %s, and leaves no timer or listener", (_case, happen) => {
  const { controller, signal, listeners } = createCountedSignal();
  const onAlarm = vi.fn<() => void>();
  startAlarm(1_000, signal, onAlarm);
  expect([onAlarm.mock.calls.length, listeners.size, vi.getTimerCount()]).toEqual([0, 1, 1]);
  happen(controller);
  controller.abort();
  vi.advanceTimersByTime(5_000);
  expect([onAlarm.mock.calls.length, listeners.size, vi.getTimerCount()]).toEqual([1, 0, 0]);
});

test("an alarm on an aborted signal rings at once, and leaves no timer or listener", () => {
  const { controller, signal, listeners } = createCountedSignal();
  controller.abort();
  const onAlarm = vi.fn<() => void>();
  startAlarm(1_000, signal, onAlarm);
  expect([onAlarm.mock.calls.length, listeners.size, vi.getTimerCount()]).toEqual([1, 0, 0]);
});

test("an alarm for a time that has passed rings without a negative delay, about which Node.js would warn", async () => {
  // Replacing a fake timer would leave it behind for the next file.
  vi.useRealTimers();
  const setTimer = vi.spyOn(globalThis, "setTimeout");
  await new Promise<void>((resolve) => void startAlarm(-103, undefined, resolve));
  expect(setTimer.mock.calls.map(([, delayMs]) => delayMs)).toEqual([0]);
});

test("a cancelled alarm never rings, and leaves no timer or listener", () => {
  const { controller, signal, listeners } = createCountedSignal();
  const onAlarm = vi.fn<() => void>();
  startAlarm(1_000, signal, onAlarm)();
  controller.abort();
  vi.advanceTimersByTime(5_000);
  expect([onAlarm.mock.calls.length, listeners.size, vi.getTimerCount()]).toEqual([0, 0, 0]);
});

test("sleep works without a signal", async () => {
  const slept = sleep(1_000, undefined);
  vi.advanceTimersByTime(1_000);
  await expect(slept).resolves.toBeUndefined();
});

test("ids are long, consist of digits and hyphens, differ from each other and need no secure context", () => {
  const ids = Array.from({ length: 1_000 }, () => randomId());
  expect(new Set(ids).size).toBe(1_000);
  expect(ids.every((id) => /^\d{1,10}(-\d{1,10}){3}$/.test(id))).toBe(true);
  expect(randomId.toString()).not.toContain("randomUUID");
});
