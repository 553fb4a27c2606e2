/**
 * Variants: the request fields that a response depends on, and their normalised values (RFC 9111, 4.1). Two requests with the same variant get the
 * same stored response.
 */
import { fieldOf, type HeaderRecord } from "../fields/header-record.ts";
import { isToken, remember, splitElements, splitList } from "../fields/list.ts";

const noNames: readonly string[] = [];

/** The lower-case request fields in `Vary`; `null` for `Vary: *`, which no cache can match, and for a value that names no field. */
export function readVary(headers: HeaderRecord): readonly string[] | null {
  const value = headers["vary"];
  if (value === undefined) return noNames;
  const names = splitList(value.toLowerCase());
  if (names.includes("*") || !names.every(isToken)) return null;
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
/** The order of languages cannot be relied upon (RFC 9110, 12.5.4), and the order of charsets and codings has no meaning. */
const unorderedFields: ReadonlySet<string> = new Set(["accept-charset", "accept-encoding", "accept-language"]);

/**
 * Normalises a request field so that values of the same meaning are equal: white space around commas is ignored, because lines of a field are joined
 * with or without it (RFC 9110, 5.3). In the `Accept` fields, empty members, letter case, the notation of weights, and the order of members are also
 * ignored (RFC 9110, 12.5). Only in `Accept`, the order of equal weights counts: many servers respond with the first of these media types, and a
 * client that cannot read it would get it from the cache. An empty member of another field may have a meaning, so it counts.
 */
function normaliseField(name: string, value: string): string {
  if (opaqueFields.has(name)) return value;
  if (name === "accept") return sortByWeight(value);
  return unorderedFields.has(name) ? sortMembers(value) : normaliseCommas(value);
}

const normaliseCommas: (value: string) => string = remember((value) => splitElements(value).join(","));

const sortMembers: (value: string) => string = remember((value) =>
  value.includes('"') ? splitList(value).join(",") : splitList(value).map(normaliseMember).toSorted().join(","),
);

const sortByWeight: (value: string) => string = remember((value) => {
  const members = splitList(value);
  if (value.includes('"')) return members.join(",");
  const weighed = members.map((member) => ({ text: normaliseMember(member), weight: weightOf(member) }));
  // Servers disagree about an unreadable weight, so its position may matter.
  if (!weighed.some(({ weight }) => Number.isNaN(weight))) weighed.sort((left, right) => right.weight - left.weight);
  return weighed.map(({ text }) => text).join(",");
});

function normaliseMember(member: string): string {
  const [range = "", ...parameters] = splitParameters(member);
  const kept = parameters.map(normaliseWeight).filter((parameter) => parameter !== "");
  return [range.toLowerCase(), ...kept].join(";");
}

/** The weight of a member, 1 if it states none; `NaN` if it cannot be read. */
function weightOf(member: string): number {
  const [weight, ...others] = splitParameters(member).filter((parameter) => /^q[\t ]*=/i.test(parameter));
  if (weight === undefined) return 1;
  return others.length === 0 ? (readWeight(weight) ?? Number.NaN) : Number.NaN;
}

function splitParameters(member: string): string[] {
  return member.split(";").map((part) => part.trim());
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
    const [range = "", parameter, ...others] = splitParameters(member);
    const weight = parameter === undefined ? 1 : readWeight(parameter);
    if (weight === null || others.length > 0) return null;
    if (weight > highest) [preferred, highest] = [range.toLowerCase(), weight];
    else if (weight === highest) preferred = null;
  }
  return preferred === "*" ? null : preferred;
}
