/**
 * Texts from servers, devices and stored records, made safe for a terminal. A name could otherwise move the cursor, hide text, reverse its
 * direction, or split a line that a script reads.
 */

const picture = String.raw`\p{Extended_Pictographic}(?:\ufe0f|\p{Emoji_Modifier})?`;
/** Letters and marks of scripts whose spelling has joiners (Unicode Standard, section 23.2). */
const joining = `(?!\\p{Cf})[${[
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
  .join("")}]\\p{Mn}{0,4}`;

// A joiner inside an emoji or after one of these letters is part of the text; elsewhere it is invisible.
const hidden = new RegExp(
  String.raw`(?!(?<=${picture})\u200d(?=\p{Extended_Pictographic}))(?!(?<=${joining})[\u200c\u200d])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]`,
  "gu",
);
/** The end of a text that makes a joiner behind it a part of a picture or a word. */
const joined = new RegExp(`(?:${picture}|${joining})$`, "u");

/** Returns the text with control and format characters, line separators and unpaired surrogates written as in a JSON string. */
export function printable(text: string): string {
  return text.replaceAll(hidden, escaped);
}

/** Returns a text of several lines with everything but line ends and tabs written as {@link printable} does. */
export function printableLines(text: string): string {
  return text.replaceAll(hidden, (character, offset: number) => {
    if (character === "\n" || character === "\t") return character;
    // Elsewhere a carriage return lets a line overwrite itself.
    return character === "\r" && text[offset + 1] === "\n" ? "" : escaped(character);
  });
}

/** A text of several lines that comes in pieces. */
export interface PrintableStream {
  /** Returns what of a piece can be printed, as {@link printableLines} does. What depends on the next piece is kept until then. */
  write(piece: string): string;
  /** Returns what was kept. */
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
      // The first half of a character, a joiner inside an emoji, and a line end.
      kept = /\r$|\u200d?[\ud800-\udbff]?$/.exec(text)?.[0] ?? "";
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
