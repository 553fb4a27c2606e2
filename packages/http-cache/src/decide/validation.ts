import { tagsMatchWeakly, isStrongTag } from "../fields/entity-tags.ts";
import { withoutConnectionFields } from "../fields/connection-fields.ts";
import { type HeaderRecord, withoutFields } from "../fields/header-record.ts";
import type { StoredResponse } from "./stored-response.ts";

const ownConditions: ReadonlySet<string> = new Set(["if-modified-since", "if-none-match", "if-range", "range"]);
const unmergedFields: ReadonlySet<string> = new Set([
  "content-encoding",
  "content-length",
  "content-range",
  "content-type",
]);

/**
 * The request's fields, asking whether a stored answer still holds (RFC 9111, 4.3.1). The client's own conditions and its range are left
 * out: they are judged by what comes back.
 */
export function conditionalHeaders(headers: HeaderRecord, stored: HeaderRecord): HeaderRecord {
  const { etag, "last-modified": lastModified } = stored;
  return {
    ...withoutFields(headers, ownConditions),
    ...(etag === undefined ? {} : { "if-none-match": etag }),
    ...(lastModified === undefined ? {} : { "if-modified-since": lastModified }),
  };
}

/** Whether a 304, or the answer to HEAD, is about what is stored (RFC 9111, 4.3.4). The stored answer is the only one that was asked about. */
export function validatorsAgree(stored: HeaderRecord, received: HeaderRecord): boolean {
  const [tag, storedTag] = [received["etag"], stored["etag"]];
  if (tag !== undefined && storedTag !== undefined) {
    return isStrongTag(tag) ? tag === storedTag : tagsMatchWeakly(tag, storedTag);
  }
  const [modified, storedModified] = [received["last-modified"], stored["last-modified"]];
  if (modified !== undefined) return modified === storedModified;
  return tag === undefined;
}

/**
 * The stored fields, updated by those that came (RFC 9111, 3.2). What describes the stored bytes stays as it is. A date that did not come is
 * left out, since the old one would make the answer look as old as it was.
 */
export function mergeHeaders(stored: HeaderRecord, received: HeaderRecord): HeaderRecord {
  const { date: _, ...kept } = stored;
  return { ...kept, ...withoutFields(withoutConnectionFields(received), unmergedFields) };
}

/** Whether the answer to HEAD lets a stored answer to GET live on (RFC 9111, 4.3.5). */
export function headAgrees(stored: StoredResponse, status: number, received: HeaderRecord): boolean {
  if (status !== stored.status || !validatorsAgree(stored.headers, received)) return false;
  const length = received["content-length"];
  if (length === undefined) return true;
  return length === (stored.headers["content-length"] ?? String(stored.body.length));
}
