import { expect, test } from "vitest";
import {
  createPrintableStream,
  escapeSpaces,
  formatColumns,
  formatJson,
  printable,
  printableLines,
} from "./printable.ts";

test("characters that move the cursor, hide text or change its direction are escaped as in JSON", () => {
  expect(printable("a\u001b[2Jb\u009b1mc\u202ed\u2028e\u200bf\u{e0001}g\ud800h\r\n")).toBe(
    "a\\u001b[2Jb\\u009b1mc\\u202ed\\u2028e\\u200bf\\udb40\\udc01g\\ud800h\\u000d\\u000a",
  );
});

// Fillers, selectors, blank symbols, and places that Unicode reserves for more of them.
const invisible = [
  ...[0xad, 0x34f, 0x115f, 0x1160, 0x17b4, 0x17b5, 0x180b, 0x180e, 0x2065, 0x2800, 0x3164, 0xfe00, 0xfe0f, 0xffa0],
  ...[0xfff0, 0x1d159, 0x1d173, 0xe0000, 0xe0001, 0xe0100, 0xe0fff],
];

test.each(invisible.map((code) => [code.toString(16), String.fromCodePoint(code)]))(
  "the invisible character U+%s is written out",
  (code, character) => {
    for (const print of [printable, printableLines]) {
      const shown = print(`a${character}b`);
      expect(shown).toMatch(/^a(?:\\u[\da-f]{4})+b$/);
      expect(JSON.parse(`"${shown}"`)).toBe(`a${String.fromCodePoint(Number.parseInt(code, 16))}b`);
    }
  },
);

test("unusual spaces in a command or path are written out", () => {
  expect(escapeSpaces("rm -rf\u00a0a\u2003b\u202fc\u3000d\n\te")).toBe("rm -rf\\u00a0a\\u2003b\\u202fc\\u3000d\n\te");
});

test("letters of every script and emoji stay unchanged", () => {
  for (const text of ["laptop", "Größe", "日本語", "नमस्ते", "👩‍💻", "👨‍👩‍👧‍👦", "🧑🏽‍🚀", "🏳️‍🌈", "❤️ ↩︎ 1️⃣ #️⃣"])
    expect(printable(text)).toBe(text);
});

test("a joiner outside an emoji is escaped", () => {
  expect(printable("a\u200db")).toBe("a\\u200db");
  expect(printable("👩\u200d")).toBe("👩\\u200d");
});

test("a variation selector outside an emoji is escaped", () => {
  expect(printable("1\ufe0f2")).toBe("1\\ufe0f2");
  expect(printable("❤️\ufe0f")).toBe("❤️\\ufe0f");
});

test("columns stay one line for each row and JSON one document, whatever a name contains", () => {
  const name = "a\tb\nc\u001b]0;x\u0007";
  expect(formatColumns([name, "d"])).toBe("a\\u0009b\\u000ac\\u001b]0;x\\u0007\td\n");
  const json = formatJson({ name, turned: "\u202e\u{e0001}" });
  for (const character of ["\u001b", "\u202e", "\u{e0001}"]) expect(json).not.toContain(character);
  expect(JSON.parse(json)).toEqual({ name, turned: "\u202e\u{e0001}" });
  expect(formatJson({ a: 1 }, 0)).toBe('{"a":1}\n');
});

test("line breaks and tabs of a text are kept, and all other control characters are escaped", () => {
  expect(printableLines("a\tb\r\nc\u001b[2J\rd\u202e")).toBe("a\tb\nc\\u001b[2J\\u000dd\\u202e");
});

test.each(["می\u200cخواهم", "خانهٔ\u200cما", "क्\u200dष", "ශ්\u200dරී"])(
  "a joiner that belongs to the spelling of %s is kept",
  (word) => {
    expect(printable(word)).toBe(word);
  },
);

test("a joiner between letters of other scripts is escaped, because it is invisible there", () => {
  expect(printable("pro\u200cd")).toBe("pro\\u200cd");
  expect(printable("\u200dक")).toBe("\\u200dक");
});

test("a joiner is kept after at most four combining marks, because more could hide it", () => {
  const word = (marks: number): string => `क${"\u0301".repeat(marks)}\u200dष`;
  expect(printable(word(4))).toBe(word(4));
  expect(printable(word(5))).toContain("\\u200d");
});

test("a text is printed the same however it is split into pieces", () => {
  const text =
    "سلام\u061c\u200dabc a👩\u200d💻b می\u200cخواهم\r\nc\u200d\u001b[2J \ud83d👩🏽\u200d🚀\u200d\ud83d1️⃣2\ufe0f❤️\u200d🔥";
  const whole = printableLines(text);
  for (let first = 0; first <= text.length; first += 1)
    for (let second = first; second <= text.length; second += 1) {
      const stream = createPrintableStream();
      const pieces = [text.slice(0, first), text.slice(first, second), text.slice(second)];
      expect(pieces.map((piece) => stream.write(piece)).join("") + stream.end()).toBe(whole);
    }
});
