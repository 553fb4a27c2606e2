import { expect, test } from "vitest";
import { quoteForShell } from "./shell-word.ts";

test.each(["call-1", "https://gateway.example:8787/a", "--allow-read=.,/srv", "a@b+c%d", "LETTA_X=1"])(
  "a word that every shell reads as it is stays as it is: %s",
  (word) => {
    expect(quoteForShell(word)).toBe(word);
  },
);

test.each([
  ["", "''"],
  ["x;ls", "'x;ls'"],
  ["$(ls)", "'$(ls)'"],
  ["!!", "'!!'"],
  ["~root", "'~root'"],
  ["=ls", "'=ls'"],
  ["%self", "'%self'"],
  ["--option==ls", "'--option==ls'"],
  ["PATH=/bin:=ls", "'PATH=/bin:=ls'"],
  ["http://[::1]:8787", "'http://[::1]:8787'"],
  ["a\nb", "'a\nb'"],
  ["it's", String.raw`'it'\''s'`],
  // fish would read \' between quotes as a quote.
  [String.raw`a\'b`, String.raw`'a'\\''\''b'`],
])("a word that a shell would change is quoted: %j", (word, quoted) => {
  expect(quoteForShell(word)).toBe(quoted);
});
