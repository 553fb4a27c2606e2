import { expect, test } from "vitest";
import { printable } from "./printable.ts";

test("no character that steers a terminal or turns the line comes through, and what is shown reads as in a JSON string", () => {
  const text = "a\u202e\u2028\u2029\u009b\u001b[2J\r\n\u200b\u{e0001}z";
  expect(printable(text)).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
  expect(JSON.parse(`"${printable(text)}"`)).toBe(text);
});

test("letters of any script, spaces and emoji are left as they are", () => {
  expect(printable("naïve 日本語 ☂ 🙂 a b")).toBe("naïve 日本語 ☂ 🙂 a b");
});
