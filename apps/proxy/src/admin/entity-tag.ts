import type { KeyRecord } from "../keys/key-record.ts";
import { showKey } from "../keys/key-view.ts";
import type { Digests } from "../ports.ts";

/**
 * The entity tag of a key (RFC 9110 section 8.8.3): it changes with every change of the key. Uses and the passing of time leave
 * it alone, so that a key can be changed while it is in use; nothing is stored under the tag.
 */
export function entityTag(record: KeyRecord, { sha256 }: Pick<Digests, "sha256">): string {
  const { state: _state, lastUsedAt: _lastUsedAt, ...kept } = showKey(record, 0, null);
  return `"${sha256(JSON.stringify(kept)).slice(0, 32)}"`;
}

/** Whether `If-Match` holds (RFC 9110 section 13.1.1) for something that exists. Weak tags never match. */
export function matchesEntityTag(ifMatch: string, tag: string): boolean {
  if (ifMatch.trim() === "*") return true;
  return [...ifMatch.matchAll(/(W\/)?("[^"]*")/g)].some(([, weak, listed]) => weak === undefined && listed === tag);
}
