/**
 * Ids in a path: which texts are allowed as a `deviceId` or `connectionId`. The rule is an allowlist, so that an id needs no
 * escaping in a path or a query and no encoding of an id can reach another path.
 */

/** Path segments of the API where other paths have an id. They are never ids. */
export const reservedIdentifiers: ReadonlySet<string> = new Set(["register", "events", "approvals", "runtimes"]);

// `.` and `..` are excluded because URL parsers resolve them into another path.
const identifierPattern = /^(?!(?:\.\.?|register|events|approvals|runtimes)$)[\w.~:-]{1,128}$/;

/** The rule of {@link isIdentifier} in words, for error texts. */
export const identifierRule: string =
  "1 to 128 of A-Z a-z 0-9 . _ ~ : - and none of '.', '..', 'register', 'events', 'approvals', 'runtimes'";

/** The rule of {@link isReference} in words, for error texts. */
export const referenceRule: string = "1 to 256 characters of well-formed Unicode, and neither '.' nor '..'";

/**
 * Returns whether a value may be used as a reference: an id that its sender chose, such as that of a message. In a path it is
 * percent-encoded. `.` and `..` are excluded because URL parsers resolve them even when they are encoded.
 */
export function isReference(value: unknown): boolean {
  return typeof value === "string" && value.length > 0 && value.length <= 256 && !/^\.\.?$|\p{Surrogate}/u.test(value);
}

/** Returns whether a value may be used as an id in a path. */
export function isIdentifier(value: unknown): boolean {
  return typeof value === "string" && identifierPattern.test(value);
}
