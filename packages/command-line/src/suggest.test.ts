import { expect, test } from "vitest";
import { suggestWord } from "./suggest.ts";

const known = ["list", "get", "send", "watch", "approve", "deny", "help"];

test.each([
  ["lst", "list"],
  ["lsit", "list"],
  ["sned", "send"],
  ["aprove", "approve"],
  ["wtach", "watch"],
  ["GET", "get"],
  ["hlep", "help"],
])("the word '%s' suggests '%s'", (word, meant) => {
  expect(suggestWord(word, known)).toBe(meant);
});

test.each(["x", "no", "remove", "connections", ""])("the word '%s' suggests nothing", (word) => {
  expect(suggestWord(word, known)).toBeNull();
});
