import { expect, test } from "vitest";
import { createPrintableStream, formatColumns, formatJson, printable, printableLines } from "./printable.ts";

test("what moves the cursor, hides text or turns its direction is shown as in a JSON string", () => {
  expect(printable("a\u001b[2Jb\u009b1mc\u202ed\u2028e\u200bf\u{e0001}g\ud800h\r\n")).toBe(
    "a\\u001b[2Jb\\u009b1mc\\u202ed\\u2028e\\u200bf\\udb40\\udc01g\\ud800h\\u000d\\u000a",
  );
});

test("letters of every script and pictures stay as they are", () => {
  for (const text of ["laptop", "Größe", "日本語", "नमस्ते", "👩‍💻", "👨‍👩‍👧‍👦", "🧑🏽‍🚀", "🏳️‍🌈"]) expect(printable(text)).toBe(text);
});

test("a joiner that is not inside a picture is shown", () => {
  expect(printable("a\u200db")).toBe("a\\u200db");
  expect(printable("👩\u200d")).toBe("👩\\u200d");
});

test("columns and JSON stay one line a row and one document, whatever a name holds", () => {
  const name = "a\tb\nc\u001b]0;x\u0007";
  expect(formatColumns([name, "d"])).toBe("a\\u0009b\\u000ac\\u001b]0;x\\u0007\td\n");
  const json = formatJson({ name, turned: "\u202e\u{e0001}" });
  for (const character of ["\u001b", "\u202e", "\u{e0001}"]) expect(json).not.toContain(character);
  expect(JSON.parse(json)).toEqual({ name, turned: "\u202e\u{e0001}" });
  expect(formatJson({ a: 1 }, 0)).toBe('{"a":1}\n');
});

test("lines and tabs of a text stay, and everything else that controls a terminal is written out", () => {
  expect(printableLines("a\tb\r\nc\u001b[2J\rd\u202e")).toBe("a\tb\nc\\u001b[2J\\u000dd\\u202e");
});

test.each(["می\u200cخواهم", "خانهٔ\u200cما", "क्\u200dष", "ශ්\u200dරී"])(
  "a joiner that belongs to the spelling of %s stays",
  (word) => {
    expect(printable(word)).toBe(word);
  },
);

test("a joiner between letters of other scripts is shown, since it hides there", () => {
  expect(printable("pro\u200cd")).toBe("pro\\u200cd");
  expect(printable("\u200dक")).toBe("\\u200dक");
});

test("a text is printed alike, wherever it is cut into pieces", () => {
  const text = "سلام\u061c\u200dabc a👩\u200d💻b می\u200cخواهم\r\nc\u200d\u001b[2J \ud83d👩🏽\u200d🚀\u200d\ud83d";
  const whole = printableLines(text);
  for (let first = 0; first <= text.length; first += 1)
    for (let second = first; second <= text.length; second += 1) {
      const stream = createPrintableStream();
      const pieces = [text.slice(0, first), text.slice(first, second), text.slice(second)];
      expect(pieces.map((piece) => stream.write(piece)).join("") + stream.end()).toBe(whole);
    }
});
