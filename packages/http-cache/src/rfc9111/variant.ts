import { fieldOf, type HeaderRecord } from "../fields/header-record.ts";
import { remember, splitElements, splitList } from "../fields/list.ts";

/**
 * Variants: the request fields that a response depends on, and their normalised values (RFC 9111, 4.1). Two requests with the same variant get the
 * same stored response.
 */

const noNames: readonly string[] = [];

/** The lower-case request fields in `Vary`; `null` for `Vary: *`, which no cache can match. */
export function readVary(headers: HeaderRecord): readonly string[] | null {
  const value = headers["vary"];
  if (value === undefined) return noNames;
  const names = splitList(value.toLowerCase());
  if (names.includes("*")) return null;
  return names.length === 0 ? noNames : [...new Set(names)].toSorted();
}

/** The request's values of the named fields. */
export function variantOf(names: readonly string[], headers: HeaderRecord): readonly string[] {
  return names.length === 0 ? noNames : names.map((name) => variantPart(name, headers));
}

/** The request's value of one field. An absent field differs from an empty one. */
export function variantPart(name: string, headers: HeaderRecord): string {
  const value = fieldOf(headers, name);
  return value === undefined ? "" : `=${normaliseField(name, value)}`;
}

/** Fields that hold one text rather than a list, so that white space may matter. */
const opaqueFields: ReadonlySet<string> = new Set(["authorization", "cookie", "referer", "user-agent"]);
const preferenceFields: ReadonlySet<string> = new Set([
  "accept",
  "accept-charset",
  "accept-encoding",
  "accept-language",
]);

/**
 * Normalises a request field so that values of the same meaning are equal: white space around commas is ignored, because lines of a field are joined
 * with or without it (RFC 9110, 5.3), and in the `Accept` fields also empty members, the order and case of members, and the notation of weights
 * (RFC 9110, 12.5). Nobody knows whether an empty member of another field has a meaning, so it counts.
 */
function normaliseField(name: string, value: string): string {
  if (opaqueFields.has(name)) return value;
  return preferenceFields.has(name) ? normalisePreferences(value) : normaliseCommas(value);
}

const normaliseCommas: (value: string) => string = remember((value) => splitElements(value).join(","));

const normalisePreferences: (value: string) => string = remember((value) => {
  const members = splitList(value);
  return value.includes('"') ? members.join(",") : members.map(normalisePreference).toSorted().join(",");
});

function normalisePreference(member: string): string {
  const [range = "", ...parameters] = member.split(";").map((part) => part.trim());
  const kept = parameters.map(normaliseWeight).filter((parameter) => parameter !== "");
  return [range.toLowerCase(), ...kept].join(";");
}

function normaliseWeight(parameter: string): string {
  const weight = readWeight(parameter);
  if (weight === null) return parameter;
  return weight === 1 ? "" : `q=${weight}`;
}

/** The weight in a parameter `q=...`; `null` for another parameter. */
function readWeight(parameter: string): number | null {
  const match = /^q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)$/i.exec(parameter);
  return match === null ? null : Number(match[1]);
}

/** The single most preferred language of an `Accept-Language`, lower-case; `null` if there is none or the field is ambiguous. */
export function preferredLanguage(acceptLanguage: string): string | null {
  let preferred: string | null = null;
  let highest = 0;
  for (const member of splitList(acceptLanguage)) {
    const [range = "", parameter, ...others] = member.split(";").map((part) => part.trim());
    const weight = parameter === undefined ? 1 : readWeight(parameter);
    if (weight === null || others.length > 0) return null;
    if (weight > highest) [preferred, highest] = [range.toLowerCase(), weight];
    else if (weight === highest) preferred = null;
  }
  return preferred === "*" ? null : preferred;
}
