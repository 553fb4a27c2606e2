import { sha256Hex } from "@letta-environments/platform/node";
import { expect, test } from "vitest";
import { findCounters } from "../../test/support/event-ids.ts";
import { createEventIds, isEventId } from "./event-ids.ts";

const ids = createEventIds(sha256Hex);
const former = [
  { epoch: "00000000000000aa", lastPosition: 70 },
  { epoch: "00000000000000bb", lastPosition: 60 },
];
const series = { epoch: "0123456789abcdef0123456789abcdef", former };
const cursor = { epoch: series.epoch, position: 123_456_789, atMs: 1_770_000_000_000 };

test.each([
  cursor,
  { ...cursor, position: 0, atMs: 0 },
  { ...cursor, position: Number.MAX_SAFE_INTEGER, atMs: Number.MAX_SAFE_INTEGER },
  { ...cursor, epoch: "00000000000000aa" },
  { ...cursor, epoch: "00000000000000bb" },
])("an event id round-trips: %j", (written) => {
  const id = ids.write(written);
  expect(id).toMatch(/^[0-9a-f]{44}$/);
  expect(ids.read(id, series)).toEqual(written);
});

test("ids of another log, ids with a changed digit and invented ids are unknown", () => {
  expect(ids.read(ids.write({ ...cursor, epoch: "00000000000000cc" }), series)).toBe("unknown");
  const id = ids.write(cursor);
  for (let index = 0; index < id.length; index += 1) {
    const digit = id.charAt(index) === "0" ? "1" : "0";
    expect(ids.read(id.slice(0, index) + digit + id.slice(index + 1), series)).toBe("unknown");
  }
  expect(ids.read("0".repeat(id.length), series)).toBe("unknown");
});

test("event ids do not reveal the order of events, whether stored separately or together", () => {
  for (const stepMs of [0, 1]) {
    const sealed = Array.from({ length: 16 }, (_, index) =>
      ids.write({ ...cursor, position: 100 + index, atMs: cursor.atMs + index * stepMs }),
    );
    expect(findCounters(sealed)).toEqual([]);
    expect(findCounters(sealed.toReversed())).toEqual([]);
  }
});

test("each id is masked separately: the distance between two ids does not reveal that between their positions", () => {
  const [first, second] = [100, 101].map((position) => BigInt(`0x${ids.write({ ...cursor, position }).slice(16)}`));
  expect((first ?? 0n) ^ (second ?? 0n)).toBeGreaterThan(1n << 64n);
});

test.each([
  "x",
  "0".repeat(43),
  "0".repeat(45),
  `${"0".repeat(43)}A`,
  "0123456789abcdef.1.1",
  "Az0._~-",
  "0".repeat(128),
])("%j, which may be the id of another version, is unknown", (text) => {
  expect(isEventId(text)).toBe(true);
  expect(ids.read(text, series)).toBe("unknown");
});

test.each(["", "a b", "a/b", "ü", `${"0".repeat(44)}\n`, "0".repeat(129)])("%j is not the id of an event", (text) =>
  expect(isEventId(text)).toBe(false),
);
