/** What an id in a path looks like: 1 to 128 of `A-Z a-z 0-9 . _ ~ : -`, neither `.` nor `..` (which URL parsers would resolve into another path), and no reserved word. */
const identifierPattern = /^(?!(?:\.\.?|register|events|runtimes)$)[\w.~:-]{1,128}$/;

/** Words that stand where an id could stand in a path and therefore never are one. */
export const reservedIdentifiers: ReadonlySet<string> = new Set(["register", "events", "runtimes"]);

/** The rule for ids in words, for error texts. */
export const identifierRule: string =
  "1 to 128 of A-Z a-z 0-9 . _ ~ : - and none of '.', '..', 'register', 'events', 'runtimes'";

/** Tells whether a value may be used as an id in a path: see `identifierPattern`. */
export function isIdentifier(value: unknown): boolean {
  return typeof value === "string" && identifierPattern.test(value);
}
