import type { KeyRecord } from "./key-record.ts";

/** Orders keys by creation, then by id, for `Array.prototype.toSorted`. */
export function byCreation(left: KeyRecord, right: KeyRecord): number {
  if (left.createdAt !== right.createdAt) return left.createdAt - right.createdAt;
  return left.id < right.id ? -1 : 1;
}
