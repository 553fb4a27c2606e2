/**
 * Ids in a path: which texts are allowed as a `deviceId` or `connectionId`. The rule is an allowlist, so that an id needs no
 * escaping in a path or a query and no encoding of an id can reach another path.
 */
import type { maxReferenceLength } from "./rules.ts";

export { isReference } from "./rules.ts";

/** Path segments of the API in positions where other paths have an id. They are never ids. */
export const reservedIdentifiers: ReadonlySet<string> = new Set(["register", "events", "approvals", "runtimes"]);

// `isNoDotSegment` explains why `.` and `..` are excluded.
const identifierPattern = /^(?!(?:\.\.?|register|events|approvals|runtimes)$)[\w.~:-]{1,128}$/;

/** The rule of {@link isIdentifier} in words, for error texts. */
export const identifierRule: string =
  "1 to 128 characters from A-Z a-z 0-9 . _ ~ : - but not '.', '..', 'register', 'events', 'approvals', 'runtimes'";

/** The rule of `isReference` in words, for error texts. */
// No template: bundlers keep one in programs that do not use it, because its values could have side effects.
export const referenceRule: string =
  "1 to 256 characters of well-formed Unicode, but not '.' or '..'" satisfies `1 to ${typeof maxReferenceLength} ${string}`;

/** Returns whether a value may be used as an id in a path. */
export function isIdentifier(value: unknown): boolean {
  return typeof value === "string" && identifierPattern.test(value);
}
