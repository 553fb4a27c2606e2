/**
 * Texts from servers, devices and stored records, made safe for a terminal. A name could otherwise move the cursor, hide text, reverse its
 * direction, or split a line that a script reads.
 */

// A joiner inside an emoji is part of a picture; anywhere else it hides.
const hidden =
  /(?!(?<=\p{Extended_Pictographic}(?:\ufe0f|\p{Emoji_Modifier})?)\u200d(?=\p{Extended_Pictographic}))[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

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
