import { type CacheDirective, parseCacheControl } from "../fields/parse-cache-control.ts";
import { maximumSeconds, parseDeltaSeconds } from "../fields/parse-delta-seconds.ts";
import { parseDictionary, type StructuredItem } from "../fields/parse-structured-field.ts";
import { splitList } from "../fields/split-list.ts";
import type { HeaderRecord } from "../fields/header-record.ts";
import type { CachePolicy } from "./cache-policy.ts";

/** What an answer says about its caching. Times are in seconds and `null` when absent; an invalid one is 0, which is stale. */
export interface ResponseDirectives {
  /** True when a targeted field replaces `Cache-Control`, and `Expires` with it. */
  readonly isTargeted: boolean;
  readonly flags: ReadonlySet<string>;
  /** The fields that `private="..."` and `no-cache="..."` name: these are not stored, the rest of the answer is. */
  readonly unstoredFields: ReadonlySet<string>;
  readonly maxAge: number | null;
  readonly sharedMaxAge: number | null;
  readonly staleWhileRevalidate: number | null;
  readonly staleIfError: number | null;
}

/** A directive's argument: none, a list of fields, seconds, or nothing that can be used. */
type Argument = true | readonly string[] | number | null;

const timeNames: ReadonlySet<string> = new Set(["max-age", "s-maxage", "stale-while-revalidate", "stale-if-error"]);
const fieldListNames: ReadonlySet<string> = new Set(["private", "no-cache"]);

/** The directives that count for this cache (RFC 9111, 5.2.2; RFC 9213, 2). */
export function readResponseDirectives(headers: HeaderRecord, policy: CachePolicy): ResponseDirectives {
  for (const name of policy.targetedFields) {
    const targeted = readTargeted(headers[name]);
    if (targeted !== null) return collect(targeted, true, policy);
  }
  const directives = [...parseCacheControl(headers["cache-control"])];
  return collect(new Map(directives.map(([name, directive]) => [name, readArgument(name, directive)])), false, policy);
}

/** A targeted field is ignored when it is empty, does not parse, or gives a known directive a value of another type. */
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

function readItem(name: string, item: StructuredItem): Argument {
  if (timeNames.has(name)) {
    if (item.kind === "integer") return Math.min(Math.max(item.value, 0), maximumSeconds);
    return item.kind === "decimal" ? 0 : null;
  }
  if (fieldListNames.has(name) && item.kind === "string") return readFieldNames(item.value);
  return true;
}

function readArgument(name: string, { argument, isQuoted, isValid }: CacheDirective): Argument {
  if (timeNames.has(name)) return (isValid && argument !== null ? parseDeltaSeconds(argument) : null) ?? 0;
  if (fieldListNames.has(name) && isValid && isQuoted && argument !== null) return readFieldNames(argument);
  return true;
}

/** Names of fields; a list that is empty or malformed stands for the whole answer. */
function readFieldNames(value: string): Argument {
  const names = splitList(value.toLowerCase());
  return names.length > 0 && names.every((name) => /^[!#$%&'*+\-.^_`|~0-9a-z]+$/.test(name)) ? names : true;
}

function collect(read: ReadonlyMap<string, Argument>, isTargeted: boolean, { mode }: CachePolicy): ResponseDirectives {
  const flags = new Set<string>();
  const unstoredFields = new Set<string>();
  for (const [name, argument] of read) {
    if (argument === true) flags.add(name);
    else if (typeof argument === "object" && argument !== null && (name === "no-cache" || mode === "shared"))
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
