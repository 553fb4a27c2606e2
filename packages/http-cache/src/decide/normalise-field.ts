import { remember } from "../fields/remember.ts";
import { splitList } from "../fields/split-list.ts";

/** Fields whose value is one text and no list: a space in it may matter. */
const opaqueFields: ReadonlySet<string> = new Set(["authorization", "cookie", "referer", "user-agent"]);
const preferenceFields: ReadonlySet<string> = new Set([
  "accept",
  "accept-charset",
  "accept-encoding",
  "accept-language",
]);

/**
 * The value of a request field such that values of the same meaning are equal (RFC 9111, 4.1): white space between list members does not
 * count, and in the `Accept` fields neither does the order of members, nor their case, nor how a weight is written (RFC 9110, 12.5).
 */
export function normaliseField(name: string, value: string): string {
  if (opaqueFields.has(name)) return value;
  return preferenceFields.has(name) ? normalisePreferences(value) : normaliseList(value);
}

const normaliseList: (value: string) => string = remember((value) => splitList(value).join(","));

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

/** The weight in a parameter `q=...`; `null` when it is another one. */
export function readWeight(parameter: string): number | null {
  const match = /^q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)$/i.exec(parameter);
  return match === null ? null : Number(match[1]);
}
