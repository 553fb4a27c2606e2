import { fieldOf, type HeaderRecord } from "../fields/header-record.ts";
import { splitList } from "../fields/split-list.ts";
import { normaliseField } from "./normalise-field.ts";

const noNames: readonly string[] = [];

/** The request fields that an answer depends on, lower-case; `null` when it depends on what no cache can know (`Vary: *`). */
export function readVary(headers: HeaderRecord): readonly string[] | null {
  const value = headers["vary"];
  if (value === undefined) return noNames;
  const names = splitList(value.toLowerCase());
  if (names.includes("*")) return null;
  return names.length === 0 ? noNames : [...new Set(names)].toSorted();
}

/** What a request says in the named fields. An absent field differs from an empty one. */
export function variantOf(names: readonly string[], headers: HeaderRecord): readonly string[] {
  return names.length === 0 ? noNames : names.map((name) => variantPart(name, headers));
}

/** What a request says in one field. */
export function variantPart(name: string, headers: HeaderRecord): string {
  const value = fieldOf(headers, name);
  return value === undefined ? "" : `=${normaliseField(name, value)}`;
}
