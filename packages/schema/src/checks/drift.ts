/**
 * Drift: members and enum values of a response that this package does not know, because the server is newer. The finders in
 * `drift.gen.ts` are generated from the schemas and use these helpers.
 */

/** An unknown member or value. Its path has `[]` for every array index, so a response reports each drift once. */
export type Drift =
  | { readonly kind: "unknown_member"; readonly path: string }
  /** `value` is cut to 64 characters. */
  | { readonly kind: "unknown_value"; readonly path: string; readonly value: string };

/** The drift found so far, by its JSON, so that each is reported once. */
export type DriftReport = Map<string, Drift>;

/** A position in a response: its path, the names or values known there, and those already found there. */
export interface DriftPlace {
  readonly path: string;
  /** Names of members, or values of an open enum. */
  readonly known: readonly string[];
  /** Unknown names already reported, or the value checked last. */
  readonly found: string[];
  readonly report: DriftReport;
}

/** Limits for one response, since a server can send any number of names and values of any length. */
const maxDrifts = 32;
const maxCharacters = 64;

/** Creates a place. `path` ends with a dot if members below another member are checked. */
export const createPlace = (path: string, known: readonly string[], report: DriftReport): DriftPlace => ({
  path,
  known,
  found: [],
  report,
});

/**
 * Finds unknown members. It reads the names only if the object has more members than the known and the already reported ones:
 * engines know the number of members, and reading the names is the most expensive part.
 *
 * @param count Number of known members that the object has.
 */
export const findUnknownMembers = ({ path, known, found, report }: DriftPlace, value: object, count: number): void => {
  for (const name of found) if (Object.hasOwn(value, name)) count++;
  if (Object.keys(value).length === count) return;
  for (const name in value)
    if (!known.includes(name) && !found.includes(name)) {
      if (found.length < maxDrifts) found.push(name);
      addDrift(report, { kind: "unknown_member", path: path + name.slice(0, maxCharacters) });
    }
};

/** Finds a value that is not one of the known ones. */
export const findUnknownValue = ({ path, known, found, report }: DriftPlace, value: string | undefined): void => {
  if (value !== undefined && found[0] !== value) {
    found[0] = value;
    if (!known.includes(value)) addDrift(report, { kind: "unknown_value", path, value: value.slice(0, maxCharacters) });
  }
};

const addDrift = (report: DriftReport, drift: Drift): void => {
  if (report.size < maxDrifts) report.set(JSON.stringify(drift), drift);
};
