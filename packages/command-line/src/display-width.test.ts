import { expect, test } from "vitest";
import { displayWidth, truncate } from "./display-width.ts";

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
])("'%s' takes %d cells", (text, cells) => {
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
