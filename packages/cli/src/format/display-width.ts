/** First and last code points that take two cells (East_Asian_Width W and F of UAX 11; pictures are told by their property). */
const wide: readonly (readonly [first: number, last: number])[] = [
  [0x1100, 0x115f],
  [0x2329, 0x232a],
  [0x2e80, 0x303e],
  [0x3041, 0x3247],
  [0x3250, 0x4dbf],
  [0x4e00, 0xa4c6],
  [0xa960, 0xa97c],
  [0xac00, 0xd7a3],
  [0xf900, 0xfaff],
  [0xfe10, 0xfe19],
  [0xfe30, 0xfe6b],
  [0xff01, 0xff60],
  [0xffe0, 0xffe6],
  [0x16fe0, 0x18d08],
  [0x1aff0, 0x1b2fb],
  [0x1f200, 0x1f265],
  [0x20000, 0x3fffd],
];

let segmenter: Intl.Segmenter | undefined;

/** The characters of a text as people see them (grapheme clusters, UAX 29). */
export function graphemes(text: string): string[] {
  if (isAscii(text)) return text.split("");
  segmenter ??= new Intl.Segmenter("en", { granularity: "grapheme" });
  return Array.from(segmenter.segment(text), ({ segment }) => segment);
}

/** Cells that a printable text takes in a terminal. */
export function displayWidth(text: string): number {
  if (isAscii(text)) return text.length;
  return graphemes(text).reduce((total, grapheme) => total + graphemeWidth(grapheme), 0);
}

/** The text in at most `width` cells, with an ellipsis in place of what does not fit. */
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

function graphemeWidth(grapheme: string): number {
  if (/^\p{Emoji_Presentation}|^\p{Emoji}\ufe0f|^\p{Regional_Indicator}{2}/u.test(grapheme)) return 2;
  // Terminals add up the letters of a cluster, where those are not drawn over one another.
  return Array.from(grapheme).reduce((total, character) => total + characterWidth(character), 0);
}

function characterWidth(character: string): number {
  const point = character.codePointAt(0) ?? 0;
  // Vowels and final consonants of Hangul are drawn into the syllable's first letter.
  if (/^[\p{Mn}\p{Me}\u200d\u1160-\u11ff]$/u.test(character)) return 0;
  return wide.some(([first, last]) => point >= first && point <= last) ? 2 : 1;
}

function isAscii(text: string): boolean {
  return /^[\x20-\x7e]*$/.test(text);
}
