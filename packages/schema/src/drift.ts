/** Something in an answer that is newer than this package. Arrays stand as `[]`, and each drift is told once an answer. */
export type Drift =
  | { readonly kind: "unknown_member"; readonly path: string }
  /** `value` is cut to 64 characters. */
  | { readonly kind: "unknown_value"; readonly path: string; readonly value: string };

/** What was found so far; the keys keep it to one of each. */
export type DriftReport = Map<string, Drift>;

/** A place in an answer: where it is, what is known there, and what was seen there last: of members, two names for each position. */
export interface DriftPlace {
  readonly path: string;
  /** Names of members, or values of an open enum. */
  readonly known: readonly string[];
  readonly seen: unknown[];
  readonly report: DriftReport;
}

/** Most that is told of one answer, and most characters of a name or a value in it: both are the server's choice. */
const maxDrifts = 32;
const maxCharacters = 64;

/** Creates a place; `path` ends in a dot where members stand below another member. */
export const createPlace = (path: string, known: readonly string[], report: DriftReport): DriftPlace => ({
  path,
  known,
  seen: [],
  report,
});

/**
 * Looks for unknown members. Objects of one server have the same names in the same order, mostly in one or two variants, so
 * that a name which stood there in either was judged before.
 */
export const lookAtMembers = (place: DriftPlace, value: object): void => {
  const { seen } = place;
  let index = 0;
  for (const name in value) {
    if (seen[index] !== name && seen[index + 1] !== name) judgeMember(place, name, index);
    index += 2;
  }
};

/** Looks whether a value is one of the known ones. */
export const lookAtValue = (place: DriftPlace, value: string | undefined): void => {
  if (value !== undefined && place.seen[0] !== value) {
    place.seen[0] = value;
    if (!place.known.includes(value)) {
      tell(place.report, { kind: "unknown_value", path: place.path, value: value.slice(0, maxCharacters) });
    }
  }
};

const judgeMember = (place: DriftPlace, name: string, index: number): void => {
  place.seen[index + 1] = place.seen[index];
  place.seen[index] = name;
  if (!place.known.includes(name)) {
    tell(place.report, { kind: "unknown_member", path: place.path + name.slice(0, maxCharacters) });
  }
};

const tell = (report: DriftReport, drift: Drift): void => {
  if (report.size < maxDrifts) report.set(JSON.stringify(drift), drift);
};
