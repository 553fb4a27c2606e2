/** Canonical texts of JSON values, for digests and comparisons. */

/**
 * Serialises a JSON value so that equal values have equal texts: members sorted by UTF-16 code units, numbers and strings as
 * ECMAScript writes them (RFC 8785 section 3.2).
 */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const members = Object.keys(value)
    .toSorted()
    .map((name) => `${JSON.stringify(name)}:${canonicalJson((value as Record<string, unknown>)[name])}`);
  return `{${members.join(",")}}`;
}
