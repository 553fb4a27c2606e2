/** Finds the latest records for `audit list`. It reads the log backwards, and only as far as it must. */
import { type AuditFacts, type AuditFilter, factsOf, matchesFilter } from "../audit/reader.ts";
import { type AuditTail, latestFirst, openChains } from "../audit/search.ts";

/** A record, as it was stored and as people read it. */
export interface LatestRecord {
  readonly text: string;
  readonly facts: AuditFacts;
}

/**
 * Returns the latest records that a filter selects, at most `limit`, in the order of their times. Records of different writers are merged by time;
 * records of one writer keep their order, whatever its clock did. The end of a send or a control has no key and no device; it gets them from the
 * start with the same id, so the log is read until the starts of these ends are found too. No search by time ends earlier: a clock that was set back
 * leaves records of any time anywhere in a chain.
 */
export function findLatest(tail: AuditTail, filter: AuditFilter, limit: number): readonly LatestRecord[] {
  const found = new Set<{ readonly text: string; facts: AuditFacts }>();
  const ends = new Map<string, { readonly text: string; facts: AuditFacts }>();
  let count = 0;
  for (const { text, type, record } of latestFirst(tail, openChains(tail, Number.POSITIVE_INFINITY))) {
    const isComplete = count >= limit;
    if (isComplete && ends.size === 0) break;
    const facts = { ...factsOf(record), type };
    const id = String(record["sendId"] ?? record["controlId"]);
    const end = ends.get(id);
    if (end !== undefined && /^(?:send|control)_started$/.test(type)) {
      const { keyId, deviceId } = facts;
      end.facts = { ...end.facts, keyId, deviceId };
      ends.delete(id);
      if (matchesFilter(end.facts, filter)) count += 1;
      else found.delete(end);
    }
    if (isComplete) continue;
    const line = { text, facts };
    const isEnd = /^(?:send|control)_finished$/.test(type);
    if (!matchesFilter(facts, isEnd ? { ...filter, keyId: undefined, deviceId: undefined } : filter)) continue;
    found.add(line);
    if (isEnd) ends.set(id, line);
    else count += 1;
  }
  return [...found]
    .filter(({ facts }) => matchesFilter(facts, filter))
    .slice(0, limit)
    .toReversed();
}
