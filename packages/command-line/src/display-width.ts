/** The width of text in a terminal, in cells: a letter takes one, an East Asian letter or an emoji two, a combining mark none. */
import { eastAsianWidth } from "get-east-asian-width";

let segmenter: Intl.Segmenter | undefined;

/** The cells that a printable text takes in a terminal. */
export function displayWidth(text: string): number {
  if (isAscii(text)) return text.length;
  return graphemes(text).reduce((total, grapheme) => total + graphemeWidth(grapheme), 0);
}

/** Cuts a text to at most `width` cells, with an ellipsis for the part that does not fit. */
export function truncate(text: string, width: number): string {
  if (displayWidth(text) <= width) return text;
  let kept = "";
  let used = 0;
  for (const grapheme of graphemes(text)) {
    const cells = graphemeWidth(grapheme);
    if (used + cells > width - 1) break;
    kept += grapheme;
    used += cells;
  }
  return width < 1 ? "" : `${kept}…`;
}

/** Breaks a text between words into lines of at most `width` cells; a longer word gets its own line. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    const joined = last === undefined ? word : `${last} ${word}`;
    if (last === undefined || displayWidth(joined) > width) lines.push(word);
    else lines[lines.length - 1] = joined;
  }
  return lines;
}

/**
 * Breaks a printable text where a terminal of `width` cells would, and indents every line except the first: otherwise a device could fill a
 * line so that the rest looks like a line of the program. `null`: no limit
 */
export function indent(text: string, width: number | null): string {
  const limit = Math.max(minWidth, width ?? Number.POSITIVE_INFINITY);
  const lines = [""];
  let used = 0;
  for (const grapheme of graphemes(text)) {
    // Some terminals show each part of an emoji.
    const parts = Array.from(grapheme, graphemeWidth).reduce((total, width) => total + width, 0);
    const cells = Math.max(graphemeWidth(grapheme), parts);
    if (used + cells > limit) {
      lines.push(indentation);
      used = indentation.length;
    }
    lines[lines.length - 1] += grapheme;
    used += cells;
  }
  return lines.join("\n");
}

const indentation = "    ";
/** A narrower terminal breaks the lines again. */
const minWidth = 12;

/** The characters of a text as people see them (grapheme clusters, UAX 29). */
function graphemes(text: string): string[] {
  if (isAscii(text)) return text.split("");
  segmenter ??= new Intl.Segmenter("en", { granularity: "grapheme" });
  return Array.from(segmenter.segment(text), ({ segment }) => segment);
}

function graphemeWidth(grapheme: string): number {
  if (/^\p{Emoji_Presentation}|^\p{Emoji}\ufe0f|^\p{Regional_Indicator}{2}/u.test(grapheme)) return 2;
  // Terminals add up the widths of characters in a cluster that do not overlap.
  return Array.from(grapheme).reduce((total, character) => total + characterWidth(character), 0);
}

function characterWidth(character: string): number {
  // Vowels and final consonants of Hangul are drawn into the first letter of the syllable.
  if (/^[\p{Mn}\p{Me}\u200d\u1160-\u11ff\ud7b0-\ud7ff]$/u.test(character)) return 0;
  return eastAsianWidth(character.codePointAt(0) ?? 0);
}

function isAscii(text: string): boolean {
  return /^[\x20-\x7e]*$/.test(text);
}
