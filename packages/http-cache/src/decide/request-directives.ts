import type { HeaderRecord } from "../fields/header-record.ts";
import { type CacheDirective, parseCacheControl } from "../fields/parse-cache-control.ts";
import { maximumSeconds, parseDeltaSeconds } from "../fields/parse-delta-seconds.ts";
import type { CachePolicy } from "./cache-policy.ts";

/** What a request asks of a cache (RFC 9111, 5.2.1). Times are in milliseconds and `null` when absent. */
export interface RequestDirectives {
  readonly noStore: boolean;
  readonly noCache: boolean;
  readonly onlyIfCached: boolean;
  readonly maxAgeMs: number | null;
  readonly minFreshMs: number | null;
  readonly maxStaleMs: number | null;
  readonly staleIfErrorMs: number | null;
}

const nothing: RequestDirectives = {
  noStore: false,
  noCache: false,
  onlyIfCached: false,
  maxAgeMs: null,
  minFreshMs: null,
  maxStaleMs: null,
  staleIfErrorMs: null,
};

/** Reads `Cache-Control`; where there is none, `Pragma: no-cache` (RFC 9111, 5.4). */
export function readRequestDirectives(headers: HeaderRecord, policy: CachePolicy): RequestDirectives {
  const cacheControl = headers["cache-control"];
  const pragma = headers["pragma"];
  if (cacheControl === undefined && pragma === undefined) return nothing;
  const directives = parseCacheControl(cacheControl ?? pragma);
  if (cacheControl === undefined) {
    return directives.has("no-cache") && policy.honoursRequestDirectives ? { ...nothing, noCache: true } : nothing;
  }
  const kept = { noStore: directives.has("no-store"), onlyIfCached: directives.has("only-if-cached") };
  if (!policy.honoursRequestDirectives) return { ...nothing, ...kept };
  return {
    ...kept,
    noCache: directives.has("no-cache"),
    // What cannot be read is taken for the strictest: age 0, and no staleness.
    maxAgeMs: milliseconds(directives.get("max-age"), 0),
    minFreshMs: milliseconds(directives.get("min-fresh"), maximumSeconds),
    maxStaleMs: readMaxStale(directives.get("max-stale")),
    staleIfErrorMs: milliseconds(directives.get("stale-if-error"), 0),
  };
}

/** Without an argument any staleness is accepted. */
function readMaxStale(directive: CacheDirective | undefined): number | null {
  if (directive?.isValid === true && directive.argument === null) return maximumSeconds * 1_000;
  return milliseconds(directive, 0);
}

function milliseconds(directive: CacheDirective | undefined, otherwise: number): number | null {
  if (directive === undefined) return null;
  const { argument, isValid } = directive;
  const seconds = isValid && argument !== null ? parseDeltaSeconds(argument) : null;
  return (seconds ?? otherwise) * 1_000;
}
