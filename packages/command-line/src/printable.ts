/**
 * Texts from servers, devices and stored records, made safe for a terminal. A name could otherwise move the cursor, hide text, reverse its
 * direction, or split a line that a script reads.
 */

const picture = String.raw`\p{Extended_Pictographic}(?:[\ufe0e\ufe0f]|\p{Emoji_Modifier})?`;
/** Invisible characters, and characters that act instead of being shown. Some symbols are blank but do not have the property. */
const invisible = String.raw`\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800\u{1d159}`;
/** Letters and marks of scripts whose spelling has joiners (Unicode Standard, section 23.2). */
const joining = `(?![${invisible}])[${[
  "Arab",
  "Syrc",
  "Mong",
  "Deva",
  "Beng",
  "Guru",
  "Gujr",
  "Orya",
  "Taml",
  "Telu",
  "Knda",
  "Mlym",
  "Sinh",
  "Khmr",
  "Mymr",
  "Tibt",
]
  .map((script) => String.raw`\p{Script=${script}}`)
  .join("")}](?:(?![${invisible}])\\p{Mn}){0,4}`;

// These are part of the text; elsewhere they are invisible.
const readable = [
  String.raw`(?<=${picture})\u200d(?=\p{Extended_Pictographic})`,
  String.raw`(?<=${joining})[\u200c\u200d]`,
  String.raw`(?<=\p{Extended_Pictographic})[\ufe0e\ufe0f]`,
  String.raw`(?<=[\d#*])\ufe0f\u20e3`,
].join("|");
// The first condition is the cheapest, and false for most characters.
const hidden = new RegExp(`(?=[${invisible}])(?!${readable})[^]`, "gu");
/** The end of a text that decides whether a joiner or selector after it is readable. */
const joined = new RegExp(String.raw`(?:${picture}|${joining}|[\d#*])$`, "u");

/** Returns the text with invisible and control characters, line separators and unpaired surrogates written as in a JSON string. */
export function printable(text: string): string {
  return text.replaceAll(hidden, escaped);
}

/** Returns a text of several lines in which everything except line ends and tabs is written like in {@link printable}. */
export function printableLines(text: string): string {
  return text.replaceAll(hidden, (character, offset: number) => {
    if (character === "\n" || character === "\t") return character;
    // Elsewhere a carriage return lets a line overwrite itself.
    return character === "\r" && text[offset + 1] === "\n" ? "" : escaped(character);
  });
}

/** Returns a command or a path with every space but U+0020 written out: they look alike, but mean something else to a shell. */
export function escapeSpaces(text: string): string {
  return text.replaceAll(/(?! )\p{Zs}/gu, escaped);
}

/** A text of several lines that comes in pieces. */
export interface PrintableStream {
  /** Returns the part of a piece that can be printed now, escaped as by {@link printableLines}. A part that depends on the next piece is held back. */
  write(piece: string): string;
  /** Returns the held-back part. */
  end(): string;
}

/** Creates a {@link PrintableStream}. */
export function createPrintableStream(): PrintableStream {
  let before = "";
  let kept = "";
  function print(text: string): string {
    const printed = printableLines(before + text).slice(before.length);
    before = joined.exec(before + text)?.[0] ?? "";
    return printed;
  }
  return {
    write(piece) {
      const text = kept + piece;
      // The first half of a character, a selector and a joiner inside an emoji, and a line end.
      kept = /\r$|\ufe0f?\u200d?[\ud800-\udbff]?$/.exec(text)?.[0] ?? "";
      return print(text.slice(0, text.length - kept.length));
    },
    end() {
      const printed = print(kept);
      before = kept = "";
      return printed;
    },
  };
}

/** A line of columns separated by tabs. Tabs and line ends inside a column are escaped. */
export function formatColumns(columns: readonly string[]): string {
  return `${columns.map(printable).join("\t")}\n`;
}

/** Joins lines, each with its line end. */
export function joinLines(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join("");
}

/** A value as one JSON document, indented or on one line. Escaping keeps it the same value. */
export function formatJson(value: unknown, indentation: 0 | 2 = 2): string {
  const lines = JSON.stringify(value, null, indentation).split("\n");
  return `${lines.map(printable).join("\n")}\n`;
}

function escaped(character: string): string {
  return Array.from({ length: character.length }, (_, index) => {
    const unit = character.charCodeAt(index).toString(16).padStart(4, "0");
    return `\\u${unit}`;
  }).join("");
}
