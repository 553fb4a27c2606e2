/** Something in an answer that is newer than this package. Arrays stand as `[]`, and each drift is told once an answer. */
export type Drift =
  | { readonly kind: "unknown_member"; readonly path: string }
  /** `value` is cut to 64 characters. */
  | { readonly kind: "unknown_value"; readonly path: string; readonly value: string };

/** What was found so far; the keys keep it to one of each. */
export type DriftReport = Map<string, Drift>;

/** A place in an answer: where it is, what is known there, and what was found there already. */
export interface DriftPlace {
  readonly path: string;
  /** Names of members, or values of an open enum. */
  readonly known: readonly string[];
  /** Unknown names that were told, or the value that was judged last. */
  readonly found: string[];
  readonly report: DriftReport;
}

/** Most that is told of one answer, and most characters of a name or a value in it: both are the server's choice. */
const maxDrifts = 32;
const maxCharacters = 64;

/** Creates a place; `path` ends in a dot where members stand below another member. */
export const createPlace = (path: string, known: readonly string[], report: DriftReport): DriftPlace => ({
  path,
  known,
  found: [],
  report,
});

/**
 * Looks for unknown members. Names are read only where there are more than those that are known or told already: engines know
 * how many names an object has, and reading them costs most.
 *
 * @param count how many of the known members the object has
 */
export const lookAtMembers = ({ path, known, found, report }: DriftPlace, value: object, count: number): void => {
  for (const name of found) if (Object.hasOwn(value, name)) count++;
  if (Object.keys(value).length === count) return;
  for (const name in value)
    if (!known.includes(name) && !found.includes(name)) {
      if (found.length < maxDrifts) found.push(name);
      tell(report, { kind: "unknown_member", path: path + name.slice(0, maxCharacters) });
    }
};

/** Looks whether a value is one of the known ones. */
export const lookAtValue = ({ path, known, found, report }: DriftPlace, value: string | undefined): void => {
  if (value !== undefined && found[0] !== value) {
    found[0] = value;
    if (!known.includes(value)) tell(report, { kind: "unknown_value", path, value: value.slice(0, maxCharacters) });
  }
};

const tell = (report: DriftReport, drift: Drift): void => {
  if (report.size < maxDrifts) report.set(JSON.stringify(drift), drift);
};
