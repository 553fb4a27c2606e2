/** The limits on the nesting and the values of JSON from outside, which are checked before a text is parsed. */

/**
 * The deepest nesting of arrays and objects in a request or a frame. Neither clients nor devices nest this deeply. Parsing deeper texts takes
 * much time and memory, and serialising them takes time that grows with the square of the depth: seconds for a million levels, and in Bun for thousands.
 */
export const maxJsonDepth = 64;

/** Parsing and checking more values blocks the process too long. Real bodies and frames of viewers have far fewer. */
const maxJsonValues = 50_000;

const quote = 0x22;
const openingBrace = 0x7b;
const closingBrace = 0x7d;
/** This bit maps `[` to `{`, `]` to `}`, and keeps a quote. It also maps U+0002 to a quote, but valid JSON never contains U+0002. */
const braceBit = 0x20;

const comma = 0x2c;

/**
 * Whether a JSON text nests more than `maxDepth` arrays and objects. Brackets in its strings do not count: any command or file may have them.
 * Takes linear time for any text.
 */
export function isNestedDeeply(text: string, maxDepth: number = maxJsonDepth): boolean {
  return findExcess(text, maxDepth, Infinity) !== null;
}

/** Returns the rule of the limit that a JSON text exceeds first, `null` if none. Each array, object and comma outside of strings counts as a value. */
export function findExcess(
  text: string,
  maxDepth: number = maxJsonDepth,
  maxValues: number = maxJsonValues,
): string | null {
  if (!hasMany(text, "{[", maxDepth) && !hasMany(text, ",", maxValues - maxDepth)) return null;
  let depth = 0;
  let values = 0;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index) | braceBit;
    if (code === quote) index = endOfString(text, index);
    else if (code === closingBrace) depth -= 1;
    else if (code === openingBrace || code === comma) {
      if (code === openingBrace && ++depth > maxDepth) return `must have at most ${maxDepth} levels of nesting`;
      if (++values > maxValues) return `must have at most ${maxValues.toLocaleString("en")} values`;
    }
  }
  return null;
}

/** Most texts have few brackets and commas, and searching for a character is much faster than reading each one. */
function hasMany(text: string, characters: string, maximum: number): boolean {
  if (maximum === Infinity) return false;
  let count = 0;
  for (const each of characters) {
    for (let index = text.indexOf(each); index !== -1 && count <= maximum; count++)
      index = text.indexOf(each, index + 1);
  }
  return count > maximum;
}

/** Returns where the string that begins at an index ends: at the next quote after an even number of backslashes. */
function endOfString(text: string, start: number): number {
  let end = start;
  let backslashes: number;
  do {
    end = text.indexOf('"', end + 1);
    backslashes = 0;
    while (text[end - 1 - backslashes] === "\\") backslashes += 1;
  } while (backslashes % 2 === 1);
  return end === -1 ? text.length : end;
}
