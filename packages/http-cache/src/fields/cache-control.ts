/** The syntax of `Cache-Control`: directives, and numbers of seconds. Their meaning is in `rfc9111/directives.ts`. */
import { remember, splitList } from "./list.ts";

/** A cache directive as it was received. */
export interface CacheDirective {
  /** The argument without its quotes; `null` if there is none. */
  readonly argument: string | null;
  readonly isQuoted: boolean;
  /** False if the directive is malformed or occurs twice with different arguments. */
  readonly isValid: boolean;
}

const token = /^[!#$%&'*+\-.^_`|~0-9a-z]+/i;
const argumentPattern = /^=(?:([!#$%&'*+\-.^_`|~0-9a-z]+)|"((?:[^"\\]|\\.)*)")$/i;

/**
 * Parses `Cache-Control` into directives by lower-case name (RFC 9111, 5.2). A malformed directive is kept and marked as invalid, so that
 * `no-store` with garbage after it still prevents storing.
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

/** A directive with two different arguments is invalid (RFC 9111, 4.2.1); lists of field names are joined. */
function combine(first: CacheDirective, second: CacheDirective): CacheDirective {
  if (!first.isValid || !second.isValid) return { ...first, isValid: false };
  if (first.argument === second.argument) return first;
  const canMerge = first.isQuoted && second.isQuoted;
  return canMerge ? { ...first, argument: `${first.argument},${second.argument}` } : { ...first, isValid: false };
}

/** The largest distinct number of seconds; larger ones mean the same (RFC 9111, 1.2.2). */
export const maximumSeconds = 2_147_483_648;

/** Parses a number of seconds; `null` if it is not all digits (RFC 9111, 1.2.2). */
export function parseDeltaSeconds(value: string): number | null {
  return /^[0-9]+$/.test(value) ? Math.min(Number(value), maximumSeconds) : null;
}
