import { expect, test } from "vitest";
import { constantTimeEqual, hmacSha256Hex, randomId, randomToken, sha256Hex, systemClock } from "../src/node/index.ts";

test("SHA-256 is that of FIPS 180-4, of text in UTF-8 and of bytes", () => {
  const abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  expect(sha256Hex("abc")).toBe(abc);
  expect(sha256Hex(new TextEncoder().encode("abc"))).toBe(abc);
  expect(sha256Hex("\u00e9")).toBe(sha256Hex(new Uint8Array([0xc3, 0xa9])));
});

test("HMAC-SHA-256 is that of RFC 4231 test case 2", () => {
  const key = new TextEncoder().encode("Jefe");
  expect(hmacSha256Hex(key, "what do ya want for nothing?")).toBe(
    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
  );
});

test("texts are equal only when they are, whatever their lengths", () => {
  expect(constantTimeEqual("abc", "abc")).toBe(true);
  for (const other of ["abd", "ab", "abcd", ""]) expect(constantTimeEqual("abc", other)).toBe(false);
});

test("tokens have the bytes asked for and differ", () => {
  expect(randomToken()).toMatch(/^[A-Za-z0-9_-]{43}$/);
  expect(randomToken(16)).toMatch(/^[A-Za-z0-9_-]{22}$/);
  expect(new Set(Array.from({ length: 100 }, () => randomToken())).size).toBe(100);
});

test("ids have their prefix, differ, and may stand in a path", () => {
  const ids = Array.from({ length: 1_000 }, () => randomId("env"));
  expect(new Set(ids).size).toBe(1_000);
  for (const id of ids) expect(id).toMatch(/^env-[0-9a-z]{26}$/);
});

test("the machine's clock runs a timer once and never a cancelled one", async () => {
  const seen: string[] = [];
  const cancel = systemClock.setTimer(0, () => seen.push("cancelled"));
  cancel();
  await new Promise<void>((resolve) => void systemClock.setTimer(1, resolve));
  expect(seen).toEqual([]);
  expect(Math.abs(systemClock.now() - Date.now())).toBeLessThan(1_000);
});
