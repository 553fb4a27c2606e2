/**
 * The directives of requests and responses that apply to this cache (RFC 9111, 5.2; RFC 5861; RFC 8246; RFC 9213). Unreadable values get their
 * strictest meaning.
 */
import { type CacheDirective, maximumSeconds, parseCacheControl, parseDeltaSeconds } from "../fields/cache-control.ts";
import type { HeaderRecord } from "../fields/header-record.ts";
import { isToken, splitList } from "../fields/list.ts";
import { parseDictionary, type StructuredItem } from "../fields/structured-field.ts";
import type { CachePolicy } from "./policy.ts";

/** The directives of a request (RFC 9111, 5.2.1). Times are in milliseconds, `null` if absent. */
export interface RequestDirectives {
  readonly noStore: boolean;
  readonly noCache: boolean;
  readonly onlyIfCached: boolean;
  readonly maxAgeMs: number | null;
  readonly minFreshMs: number | null;
  readonly maxStaleMs: number | null;
  readonly staleIfErrorMs: number | null;
}

const noDirectives: RequestDirectives = {
  noStore: false,
  noCache: false,
  onlyIfCached: false,
  maxAgeMs: null,
  minFreshMs: null,
  maxStaleMs: null,
  staleIfErrorMs: null,
};

/** Reads `Cache-Control`, or `Pragma: no-cache` if there is none (RFC 9111, 5.4). */
export function readRequestDirectives(headers: HeaderRecord, policy: CachePolicy): RequestDirectives {
  const cacheControl = headers["cache-control"];
  const pragma = headers["pragma"];
  if (cacheControl === undefined && pragma === undefined) return noDirectives;
  const directives = parseCacheControl(cacheControl ?? pragma);
  if (cacheControl === undefined) {
    const noCache = directives.has("no-cache") && policy.honoursRequestDirectives;
    return noCache ? { ...noDirectives, noCache } : noDirectives;
  }
  const always = { noStore: directives.has("no-store"), onlyIfCached: directives.has("only-if-cached") };
  if (!policy.honoursRequestDirectives) return { ...noDirectives, ...always };
  return {
    ...always,
    noCache: directives.has("no-cache"),
    maxAgeMs: milliseconds(directives.get("max-age"), 0),
    minFreshMs: milliseconds(directives.get("min-fresh"), maximumSeconds),
    maxStaleMs: readMaxStale(directives.get("max-stale")),
    staleIfErrorMs: milliseconds(directives.get("stale-if-error"), 0),
  };
}

/** Without an argument, `max-stale` accepts any staleness. */
function readMaxStale(directive: CacheDirective | undefined): number | null {
  if (directive?.isValid === true && directive.argument === null) return maximumSeconds * 1_000;
  return milliseconds(directive, 0);
}

function milliseconds(directive: CacheDirective | undefined, unreadableSeconds: number): number | null {
  return directive === undefined ? null : (secondsOf(directive) ?? unreadableSeconds) * 1_000;
}

function secondsOf({ argument, isValid }: CacheDirective): number | null {
  return isValid && argument !== null ? parseDeltaSeconds(argument) : null;
}

/** The directives of a response (RFC 9111, 5.2.2). Times are in seconds, `null` if absent; an invalid time is 0, which means stale. */
export interface ResponseDirectives {
  /** True if a targeted field replaces `Cache-Control` and `Expires`. */
  readonly isTargeted: boolean;
  readonly flags: ReadonlySet<string>;
  /** The fields named by `private="..."` and `no-cache="..."`. They are not stored; the rest of the response is. */
  readonly unstoredFields: ReadonlySet<string>;
  readonly maxAge: number | null;
  readonly sharedMaxAge: number | null;
  readonly staleWhileRevalidate: number | null;
  readonly staleIfError: number | null;
}

/** The argument of a directive: none, a list of field names, or seconds. */
type Argument = true | readonly string[] | number;

const timeNames: ReadonlySet<string> = new Set(["max-age", "s-maxage", "stale-while-revalidate", "stale-if-error"]);
const fieldListNames: ReadonlySet<string> = new Set(["private", "no-cache"]);
const permissions: ReadonlySet<string> = new Set(["public", "must-understand", "immutable"]);
const noFields: readonly string[] = [];

/** Reads the first valid targeted field of the policy, else `Cache-Control`. */
export function readResponseDirectives(headers: HeaderRecord, policy: CachePolicy): ResponseDirectives {
  for (const name of policy.targetedFields) {
    const targeted = readTargeted(headers[name]);
    if (targeted !== null) return collect(targeted, true, policy);
  }
  const directives = [...parseCacheControl(headers["cache-control"])];
  return collect(new Map(directives.map(([name, directive]) => [name, readArgument(name, directive)])), false, policy);
}

/** A targeted field is ignored if it is empty, does not parse, or has a value of the wrong type for a known directive (RFC 9213, 2.1). */
function readTargeted(value: string | undefined): ReadonlyMap<string, Argument> | null {
  const members = value === undefined ? null : parseDictionary(value);
  if (members === null || members.size === 0) return null;
  const read = new Map<string, Argument>();
  for (const [name, item] of members) {
    if (item.kind === "boolean" && !item.value) continue;
    const argument = readItem(name, item);
    if (argument === null) return null;
    read.set(name, argument);
  }
  return read;
}

function readItem(name: string, item: StructuredItem): Argument | null {
  if (timeNames.has(name)) {
    if (item.kind === "integer") return Math.min(Math.max(item.value, 0), maximumSeconds);
    return item.kind === "decimal" ? 0 : null;
  }
  return fieldListNames.has(name) && item.kind === "string" ? readFieldNames(item.value) : true;
}

function readArgument(name: string, directive: CacheDirective): Argument {
  if (timeNames.has(name)) return secondsOf(directive) ?? 0;
  const { argument, isQuoted, isValid } = directive;
  // An invalid permission names no field and sets no flag, so it permits nothing.
  if (!isValid && permissions.has(name)) return noFields;
  return fieldListNames.has(name) && isValid && isQuoted && argument !== null ? readFieldNames(argument) : true;
}

/** A list of field names. An empty or malformed list applies the directive to the whole response. */
function readFieldNames(value: string): Argument {
  const names = splitList(value.toLowerCase());
  return names.length > 0 && names.every(isToken) ? names : true;
}

function collect(read: ReadonlyMap<string, Argument>, isTargeted: boolean, { mode }: CachePolicy): ResponseDirectives {
  const flags = new Set<string>();
  const unstoredFields = new Set<string>();
  for (const [name, argument] of read) {
    if (argument === true) flags.add(name);
    else if (typeof argument === "object" && (name === "no-cache" || mode === "shared"))
      for (const field of argument) unstoredFields.add(field);
  }
  const seconds = (name: string): number | null => {
    const argument = read.get(name);
    return typeof argument === "number" ? argument : null;
  };
  return {
    isTargeted,
    flags,
    unstoredFields,
    maxAge: seconds("max-age"),
    sharedMaxAge: mode === "shared" ? seconds("s-maxage") : null,
    staleWhileRevalidate: seconds("stale-while-revalidate"),
    staleIfError: seconds("stale-if-error"),
  };
}
