/** Canonical texts of JSON values, for digests and comparisons. */

/**
 * Serialises a JSON value so that equal values have equal texts: members sorted by UTF-16 code units, numbers and strings as
 * ECMAScript writes them (RFC 8785 section 3.2).
 */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const members = Object.entries(value)
    .toSorted(([left], [right]) => (left < right ? -1 : 1))
    .map(([name, member]) => `${JSON.stringify(name)}:${canonicalJson(member)}`);
  return `{${members.join(",")}}`;
}
