import { expect, onTestFinished, test, vi } from "vitest";
import { systemClock as workerClock } from "../src/cloudflare/index.ts";
import { constantTimeEqual, hmacSha256Hex, randomId, sha256Hex, systemClock } from "../src/node/index.ts";

test("sha256Hex hashes text as UTF-8, and bytes, as FIPS 180-4 defines", () => {
  const abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  expect(sha256Hex("abc")).toBe(abc);
  expect(sha256Hex(new TextEncoder().encode("abc"))).toBe(abc);
  expect(sha256Hex("\u00e9")).toBe(sha256Hex(new Uint8Array([0xc3, 0xa9])));
});

test("hmacSha256Hex passes test case 2 of RFC 4231", () => {
  const key = new TextEncoder().encode("Jefe");
  expect(hmacSha256Hex(key, "what do ya want for nothing?")).toBe(
    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
  );
});

test("constantTimeEqual is true only for equal texts, even when the lengths differ", () => {
  expect(constantTimeEqual("abc", "abc")).toBe(true);
  for (const other of ["abd", "ab", "abcd", ""]) expect(constantTimeEqual("abc", other)).toBe(false);
});

test("randomId returns unique ids with the prefix that are valid in a URL path", () => {
  const ids = Array.from({ length: 1_000 }, () => randomId("env"));
  expect(new Set(ids).size).toBe(1_000);
  for (const id of ids) expect(id).toMatch(/^env-[0-9a-z]{26}$/);
});

test("the system clock runs a timer once and never runs a cancelled one", async () => {
  const seen: string[] = [];
  const cancel = systemClock.setTimer(0, () => seen.push("cancelled"));
  cancel();
  await new Promise<void>((resolve) => void systemClock.setTimer(1, resolve));
  expect(seen).toEqual([]);
  expect(Math.abs(systemClock.now() - Date.now())).toBeLessThan(1_000);
});

test.each([
  ["Node.js", systemClock],
  ["Workers", workerClock],
])("monotonic time of %s never goes back and ignores the wall clock", (_, clock) => {
  vi.spyOn(Date, "now").mockReturnValue(0);
  onTestFinished(() => void vi.restoreAllMocks());
  const first = clock.monotonic();
  const second = clock.monotonic();
  expect(clock.now()).toBe(0);
  expect(first).toBeGreaterThan(0);
  expect(second).toBeGreaterThanOrEqual(first);
});
