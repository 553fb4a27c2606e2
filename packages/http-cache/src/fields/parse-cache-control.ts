import { remember } from "./remember.ts";
import { splitList } from "./split-list.ts";

/** A cache directive as it was received. */
export interface CacheDirective {
  /** The argument without its quotes; `null` when there is none. */
  readonly argument: string | null;
  readonly isQuoted: boolean;
  /** False when the directive breaks the grammar or stands there again with another argument. */
  readonly isValid: boolean;
}

const token = /^[!#$%&'*+\-.^_`|~0-9a-z]+/i;
const argumentPattern = /^=(?:([!#$%&'*+\-.^_`|~0-9a-z]+)|"((?:[^"\\]|\\.)*)")$/i;

/**
 * The directives of a `Cache-Control` value by lower-case name (RFC 9111, 5.2). Nothing is dropped for its syntax: a malformed
 * directive stays, marked, so that `no-store` with garbage behind it still forbids.
 */
export function parseCacheControl(value: string | undefined): ReadonlyMap<string, CacheDirective> {
  return value === undefined ? nothing : parse(value);
}

const nothing: ReadonlyMap<string, CacheDirective> = new Map();

const parse: (value: string) => ReadonlyMap<string, CacheDirective> = remember((value) => {
  const directives = new Map<string, CacheDirective>();
  for (const element of splitList(value)) {
    const name = token.exec(element)?.[0];
    if (name === undefined) continue;
    const directive = parseArgument(element.slice(name.length));
    const known = directives.get(name.toLowerCase());
    directives.set(name.toLowerCase(), known === undefined ? directive : combine(known, directive));
  }
  return directives;
});

function parseArgument(rest: string): CacheDirective {
  if (rest === "") return { argument: null, isQuoted: false, isValid: true };
  const match = argumentPattern.exec(rest);
  if (match === null) return { argument: null, isQuoted: false, isValid: false };
  const [, plain, quoted] = match;
  return plain === undefined
    ? { argument: (quoted ?? "").replace(/\\(.)/g, "$1"), isQuoted: true, isValid: true }
    : { argument: plain, isQuoted: false, isValid: true };
}

/** A directive that says two things is invalid (RFC 9111, 4.2.1); one that lists fields may be written in parts. */
function combine(first: CacheDirective, second: CacheDirective): CacheDirective {
  if (!first.isValid || !second.isValid) return { ...first, isValid: false };
  if (first.argument === second.argument) return first;
  const canMerge = first.isQuoted && second.isQuoted;
  return canMerge ? { ...first, argument: `${first.argument},${second.argument}` } : { ...first, isValid: false };
}
