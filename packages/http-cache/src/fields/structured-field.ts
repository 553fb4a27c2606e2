/** Parses structured fields (RFC 9651) as far as cache fields use them. Parameters are skipped, and nothing is written. */

/** A bare item of a structured field (RFC 9651), without its parameters. Types that no cache field uses are `other`, without their value. */
export type StructuredItem =
  | { readonly kind: "integer" | "decimal"; readonly value: number }
  | { readonly kind: "string" | "token" | "other"; readonly value: string }
  | { readonly kind: "boolean"; readonly value: boolean };

interface Cursor {
  readonly text: string;
  at: number;
}

const key = /[a-z*][a-z0-9_\-.*]*/y;
const number = /-?[0-9]+(?:\.[0-9]+)?/y;
const string = /"((?:[ !#-[\]-~]|\\["\\])*)"/y;
const token = /[a-z*][!#$%&'*+\-.^_`|~0-9a-z:/]*/iy;
const boolean = /\?([01])/y;
const other = /:[A-Za-z0-9+/]*=*:|@-?[0-9]{1,15}|%"(?:[ !#$&-~]|%[0-9a-f]{2})*"/y;

/** Parses a dictionary; `null` if the field is malformed, in which case the whole field must be ignored. */
export function parseDictionary(text: string): ReadonlyMap<string, StructuredItem> | null {
  const members = new Map<string, StructuredItem>();
  const parsed = parseMembers(text, (cursor) => {
    const name = take(cursor, key)?.[0];
    if (name === undefined) return false;
    const item = take(cursor, /=/y) === null ? truth : parseMember(cursor);
    if (item === null) return false;
    members.set(name, item);
    return true;
  });
  return parsed ? members : null;
}

/** Parses a list; `null` if the field is malformed. */
export function parseItems(text: string): readonly StructuredItem[] | null {
  const items: StructuredItem[] = [];
  const parsed = parseMembers(text, (cursor) => {
    const item = parseMember(cursor);
    if (item !== null) items.push(item);
    return item !== null;
  });
  return parsed ? items : null;
}

const truth: StructuredItem = { kind: "boolean", value: true };

function parseMembers(text: string, parseOne: (cursor: Cursor) => boolean): boolean {
  // Spaces around a field are not part of it. A pattern for trailing spaces would take quadratic time.
  const cursor: Cursor = { text: trimSpaces(text), at: 0 };
  if (cursor.text === "") return true;
  for (;;) {
    if (!parseOne(cursor) || !skipParameters(cursor)) return false;
    if (cursor.at === cursor.text.length) return true;
    // A trailing comma is an error, so another member must follow.
    if (take(cursor, /[ \t]*,[ \t]*/y) === null) return false;
  }
}

function trimSpaces(text: string): string {
  let [start, end] = [0, text.length];
  while (start < end && text[start] === " ") start++;
  while (end > start && text[end - 1] === " ") end--;
  return text.slice(start, end);
}

function parseMember(cursor: Cursor): StructuredItem | null {
  if (take(cursor, /\( */y) === null) return parseItem(cursor);
  while (take(cursor, /\)/y) === null) {
    if (parseItem(cursor) === null || !skipParameters(cursor)) return null;
    if (take(cursor, / +/y) === null && cursor.text[cursor.at] !== ")") return null;
  }
  return { kind: "other", value: "" };
}

function parseItem(cursor: Cursor): StructuredItem | null {
  const digits = take(cursor, number)?.[0];
  if (digits !== undefined) return parseNumber(digits);
  const quoted = take(cursor, string)?.[1];
  if (quoted !== undefined) return { kind: "string", value: quoted.replace(/\\(.)/g, "$1") };
  const word = take(cursor, token)?.[0];
  if (word !== undefined) return { kind: "token", value: word };
  const bit = take(cursor, boolean)?.[1];
  if (bit !== undefined) return { kind: "boolean", value: bit === "1" };
  const rest = take(cursor, other)?.[0];
  try {
    // Throws if the escapes of a display string are not UTF-8. No other item has a percent sign after its first character.
    return rest === undefined ? null : { kind: "other", value: decodeURIComponent(rest.slice(1)) };
  } catch {
    return null;
  }
}

function parseNumber(digits: string): StructuredItem | null {
  const [whole = "", fraction] = digits.replace("-", "").split(".");
  if (fraction === undefined) return whole.length > 15 ? null : { kind: "integer", value: Number(digits) };
  return whole.length > 12 || fraction.length > 3 ? null : { kind: "decimal", value: Number(digits) };
}

function skipParameters(cursor: Cursor): boolean {
  while (take(cursor, /; */y) !== null) {
    if (take(cursor, key) === null) return false;
    if (take(cursor, /=/y) !== null && parseItem(cursor) === null) return false;
  }
  return true;
}

function take(cursor: Cursor, pattern: RegExp): RegExpExecArray | null {
  pattern.lastIndex = cursor.at;
  const match = pattern.exec(cursor.text);
  if (match !== null) cursor.at = pattern.lastIndex;
  return match;
}
