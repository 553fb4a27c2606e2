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

/** Returns the first syntax error; `null` if the text is JSON. */
export function findJsonSyntaxError(json: string): JsonSyntaxError | null {
  const scanner = new Scanner(json);
  try {
    scanner.value();
    scanner.end();
    return null;
  } catch (error) {
    if (!(error instanceof Stop)) throw error;
    const before = json.slice(0, error.offset).split("\n");
    return { line: before.length, column: (before.at(-1)?.length ?? 0) + 1, reason: error.message };
  }
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
    const names = new Set<string>();
    if (character === "{") this.#list("}", () => this.#member(names));
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

  #member(names: Set<string>): void {
    this.#take(space);
    const start = this.#offset;
    if (this.#json[start] !== '"') this.#fail("a name in double quotes");
    this.#text();
    const written = this.#json.slice(start, this.#offset);
    // Two names can be the same although they are written differently, with an escape.
    const name = String(JSON.parse(written));
    if (names.has(name)) throw new Stop(start, `${written} is in this object twice`);
    names.add(name);
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
