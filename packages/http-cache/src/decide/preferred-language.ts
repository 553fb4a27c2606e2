import { splitList } from "../fields/split-list.ts";
import { readWeight } from "./normalise-field.ts";

/** The one language, lower-case, that an `Accept-Language` prefers to all others; `null` when there is none or the field is unclear. */
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
