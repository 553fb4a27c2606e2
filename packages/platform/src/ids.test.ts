import { expect, test } from "vitest";
import { formatUlid, ulidRandomBytes } from "./ids.ts";

const zeros = new Uint8Array(ulidRandomBytes);
const ones = new Uint8Array(ulidRandomBytes).fill(255);

test("a ULID encodes time and randomness as the specification requires, in lower case", () => {
  expect(formatUlid(0, zeros)).toBe("0".repeat(26));
  expect(formatUlid(2 ** 48 - 1, ones)).toBe(`7${"z".repeat(25)}`);
  // The example of the specification: 1469918176385 ms is 01ARYZ6S41.
  expect(formatUlid(1_469_918_176_385, zeros)).toBe(`01aryz6s41${"0".repeat(16)}`);
});

test("every random bit changes the ULID", () => {
  const texts = new Set<string>();
  for (let bit = 0; bit < ulidRandomBytes * 8; bit++) {
    const bytes = new Uint8Array(ulidRandomBytes);
    bytes[bit >> 3] = 128 >> (bit & 7);
    texts.add(formatUlid(0, bytes));
  }
  expect(texts.size).toBe(80);
});

test("a later ULID sorts after an earlier one, regardless of their random parts", () => {
  const times = [0, 1, 31, 32, 1_023, 1_024, 1_800_000_000_000, 1_800_000_000_001, 2 ** 48 - 1];
  const earlier = times.slice(0, -1).map((timeMs) => formatUlid(timeMs, ones));
  const later = times.slice(1).map((timeMs) => formatUlid(timeMs, zeros));
  for (const [index, id] of earlier.entries()) expect(id < (later[index] ?? "")).toBe(true);
});

test("a ULID with a time outside 48 bits or the wrong number of random bytes throws a RangeError", () => {
  for (const timeMs of [-1, 0.5, 2 ** 48, Number.NaN]) expect(() => formatUlid(timeMs, zeros)).toThrow(RangeError);
  expect(() => formatUlid(0, new Uint8Array(9))).toThrow(RangeError);
  expect(() => formatUlid(0, new Uint8Array(19), 10)).toThrow(RangeError);
});
