import { expect, test } from "vitest";
import { displayWidth, indent, truncate } from "./display-width.ts";

test.each([
  ["", 0],
  ["laptop", 6],
  ["Größe", 5],
  ["e\u0301", 1],
  ["日本語", 6],
  ["한국어", 6],
  ["\u1112\u1161\u11ab", 2],
  ["\u1112\ud7b0\ud7cb", 2],
  ["ｆｕｌｌ", 8],
  ["👩‍💻", 2],
  ["🏳️‍🌈", 2],
  ["🇩🇪", 2],
  ["❤️", 2],
  ["❤", 1],
  ["नमस्ते", 4],
  ["a…b", 3],
])("the text '%s' takes %d cells", (text, cells) => {
  expect(displayWidth(text)).toBe(cells);
});

test("a text is cut between characters and never takes more cells than it may", () => {
  expect(truncate("laptop", 6)).toBe("laptop");
  expect(truncate("laptop", 5)).toBe("lapt…");
  expect(truncate("日本語", 5)).toBe("日本…");
  expect(truncate("日本語", 4)).toBe("日…");
  expect(truncate("👨‍👩‍👧‍👦 family", 4)).toBe("👨‍👩‍👧‍👦 …");
  expect(truncate("laptop", 1)).toBe("…");
  expect(truncate("laptop", 0)).toBe("");
});

test("a wrapped text is complete, and its continuation lines are indented", () => {
  expect(indent("key: one two three", 14)).toBe("key: one two t\n    hree");
  for (const text of ["a".repeat(50), "日本語".repeat(9), `x${" ".repeat(19)}1 also grants`, "👩‍👩‍👧".repeat(20), ""]) {
    const [first = "", ...others] = indent(text, 20).split("\n");
    for (const line of [first, ...others]) expect(displayWidth(line)).toBeLessThanOrEqual(20);
    for (const line of others) expect(line.startsWith("    ")).toBe(true);
    expect(first + others.map((line) => line.slice(4)).join("")).toBe(text);
  }
});

test.each(["👩‍👩‍👧‍👦", "👍🏽", "🏳️‍🌈"])("a line has room for an emoji, %s, whose parts a terminal shows one by one", (emoji) => {
  const width = Array.from(emoji).reduce((total, part) => total + displayWidth(part), 0);
  const lines = indent(emoji.repeat(20), 40).split("\n");
  for (const line of lines) expect(line.trim().length / emoji.length).toBeLessThanOrEqual(40 / width);
});

test("text is one line without a known width, and is still wrapped on a very narrow terminal", () => {
  expect(indent("a".repeat(500), null)).toBe("a".repeat(500));
  expect(indent("abcdefghijklmn", 3)).toBe("abcdefghijkl\n    mn");
});
