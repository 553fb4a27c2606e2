/**
 * Finds the first syntax error of a JSON text (RFC 8259). The runtimes describe it in different words, and not all of them say where it is. A
 * name that an object has twice is an error too: RFC 8259 section 4 leaves open which of the two counts, and `JSON.parse` drops the first
 * silently.
 */

/** A syntax error, with its place counted from 1. */
export interface JsonSyntaxError {
  readonly line: number;
  readonly column: number;
  /** The text found there and the text expected, in words. */
  readonly reason: string;
}

const space = /[ \t\n\r]*/y;
const text = /"(?:[^"\\\p{Cc}]|[\u007f-\u009f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/uy;
/** Maximum nesting depth of objects and lists. No setting comes close, and a much deeper text would overflow the stack. */
const maxDepth = 64;
const scalar = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y;

/** Returns the first syntax error, or else the first name that is twice in an object; `null` if the text is JSON without either. */
export function findJsonSyntaxError(json: string): JsonSyntaxError | null {
  const scanner = new Scanner(json);
  try {
    scanner.value();
    scanner.end();
    return findRepeatedName(json);
  } catch (error) {
    if (!(error instanceof Stop)) throw error;
    return errorAt(json, error.offset, error.message);
  }
}

/** Returns the first name that appears twice in an object of a JSON text; `null` if no name does. */
export function findRepeatedName(json: string): JsonSyntaxError | null {
  const objects: Set<unknown>[] = [];
  for (const { 0: token, 1: written, 2: colon, index } of json.matchAll(/("(?:[^"\\]|\\.)*")\s*(:?)|[{}]/g)) {
    if (token === "{") objects.push(new Set());
    else if (token === "}") objects.pop();
    if (!written || !colon) continue;
    const names = objects.at(-1);
    // Two names can be the same although they are written differently, with an escape.
    const name: unknown = JSON.parse(written);
    if (names?.has(name)) return errorAt(json, index, `${written} is in this object twice`);
    names?.add(name);
  }
  return null;
}

function errorAt(json: string, offset: number, reason: string): JsonSyntaxError {
  const before = json.slice(0, offset).split("\n");
  return { line: before.length, column: (before.at(-1)?.length ?? 0) + 1, reason };
}

class Stop extends Error {
  readonly offset: number;

  constructor(offset: number, reason: string) {
    super(reason);
    this.offset = offset;
  }
}

class Scanner {
  readonly #json: string;
  #offset = 0;
  #depth = 0;

  constructor(json: string) {
    this.#json = json;
  }

  value(): void {
    this.#take(space);
    const character = this.#json[this.#offset];
    if (character === "{") this.#list("}", () => this.#member());
    else if (character === "[") this.#list("]", () => this.value());
    else if (character === '"') this.#text();
    else if (!this.#take(scalar)) this.#fail("a value");
  }

  end(): void {
    this.#take(space);
    if (this.#offset < this.#json.length) this.#fail("the end of the file");
  }

  #list(close: string, item: () => void): void {
    if (this.#depth === maxDepth)
      throw new Stop(this.#offset, `this is nested too deeply, in ${maxDepth} objects and lists`);
    this.#depth += 1;
    this.#items(close, item);
    this.#depth -= 1;
  }

  #items(close: string, item: () => void): void {
    this.#offset += 1;
    if (this.#takeCharacter(close)) return;
    for (;;) {
      item();
      if (this.#takeCharacter(close)) return;
      if (!this.#takeCharacter(",")) this.#fail(`a comma or ${close}`);
      const comma = this.#offset - 1;
      if (this.#takeCharacter(close)) throw new Stop(comma, `a comma must not follow the last item before ${close}`);
    }
  }

  #member(): void {
    this.#take(space);
    if (this.#json[this.#offset] !== '"') this.#fail("a name in double quotes");
    this.#text();
    if (!this.#takeCharacter(":")) this.#fail("a colon");
    this.value();
  }

  #text(): void {
    if (!this.#take(text))
      throw new Stop(this.#offset, "this string has a line break, a wrong escape or no closing quote");
  }

  #takeCharacter(character: string): boolean {
    this.#take(space);
    if (this.#json[this.#offset] !== character) return false;
    this.#offset += 1;
    return true;
  }

  #take(pattern: RegExp): boolean {
    pattern.lastIndex = this.#offset;
    const [match = ""] = pattern.exec(this.#json) ?? [];
    this.#offset += match.length;
    return match !== "";
  }

  #fail(expected: string): never {
    const found = this.#offset >= this.#json.length ? "the end of the file" : `'${this.#json[this.#offset]}'`;
    throw new Stop(this.#offset, `expected ${expected}, found ${found}`);
  }
}
