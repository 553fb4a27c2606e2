import { expect, test } from "vitest";
import { changeLimits } from "../limits.ts";
import { decideGap, decideStart } from "./start.ts";

const former = [{ epoch: "00000000000000aa", lastPosition: 70 }];
const state = { epoch: "0123456789abcdef", lastPosition: 100, removedThrough: 10, outputRemovedThrough: 50, former };
const now = 1_770_000_000_000;
const cursor = { epoch: state.epoch, position: 60, atMs: now - 1_000 };
const { events, output } = changeLimits;

test("a reader without a last event receives what happens from now on", () => {
  expect(decideStart(null, { state, nowMs: now, outputSinceMs: 0 })).toEqual({ after: 100, gap: null });
});

test("a reader that asks for the oldest event receives all stored events, and no gap", () => {
  expect(decideStart("oldest", { state, nowMs: now, outputSinceMs: now })).toEqual({ after: 10, gap: null });
});

test("a reader whose id is unknown receives a gap and then the events from now on", () => {
  expect(decideStart("unknown", { state, nowMs: now, outputSinceMs: 0 })).toEqual({ after: 100, gap: "unknown" });
});

test("a reader continues after its last event while everything is kept", () => {
  expect(decideStart(cursor, { state, nowMs: now, outputSinceMs: 0 })).toEqual({ after: 60, gap: null });
  expect(decideStart({ ...cursor, position: 10 }, { state, nowMs: now, outputSinceMs: null })).toEqual({
    after: 10,
    gap: null,
  });
  expect(decideStart({ ...cursor, position: 100 }, { state, nowMs: now, outputSinceMs: 0 })).toEqual({
    after: 100,
    gap: null,
  });
  expect(
    decideStart({ ...cursor, epoch: "00000000000000aa", position: 70 }, { state, nowMs: now, outputSinceMs: 0 }),
  ).toEqual({
    after: 70,
    gap: null,
  });
});

test.each([
  ["another epoch", { epoch: "fedcba9876543210" }, "unknown"],
  ["a position that does not exist yet", { position: 101 }, "unknown"],
  ["a position that its epoch had only in other data", { epoch: "00000000000000aa", position: 71 }, "unknown"],
  ["removed events", { position: 9 }, "expired"],
  ["the time for which events are kept", { atMs: now - events.durationMs }, "expired"],
] as const)(
  "a reader that has missed events, by %s, receives a gap and then the events from now on",
  (_why, change, gap) => {
    expect(decideStart({ ...cursor, ...change }, { state, nowMs: now, outputSinceMs: null })).toEqual({
      after: 100,
      gap,
    });
  },
);

test.each([
  ["removed output", { position: 49 }, 0],
  ["the time for which output is kept", { atMs: now - output.durationMs }, 0],
  ["output that was not stored", {}, now],
] as const)(
  "a reader that has missed only output, by %s, receives a gap and continues",
  (_why, change, outputSinceMs) => {
    const given = { ...cursor, ...change };
    expect(decideStart(given, { state, nowMs: now, outputSinceMs })).toEqual({
      after: given.position,
      gap: "output_expired",
    });
    expect(decideStart(given, { state, nowMs: now, outputSinceMs: null })).toEqual({
      after: given.position,
      gap: null,
    });
  },
);

test("a reader receives one gap for events that were removed after its position, and one for output only if it reads output", () => {
  const before = { removedThrough: 10, outputRemovedThrough: 50 };
  const later = { removedThrough: 70, outputRemovedThrough: 80 };
  expect(decideGap({ after: 60, removed: later, announced: before, includesOutput: false })).toBe("expired");
  expect(decideGap({ after: 60, removed: later, announced: later, includesOutput: true })).toBeNull();
  expect(decideGap({ after: 75, removed: later, announced: before, includesOutput: true })).toBe("output_expired");
  expect(decideGap({ after: 75, removed: later, announced: before, includesOutput: false })).toBeNull();
  expect(decideGap({ after: 80, removed: later, announced: before, includesOutput: true })).toBeNull();
});
