import { isRecord, isText } from "@letta-environments/schema/guards";
import { invalidArgument } from "./call-error.ts";

/**
 * The value, when it fits the pattern, which says of what type it is and of what form: a text has a quote before it, and anything else
 * is its JSON. An object fits none; of a list counts how it begins.
 *
 * @param pattern Default: a whole number from 1 to 999,999,999.
 * @throws LettaEnvironmentsError `invalid_argument` naming the member and the pattern; the value is never repeated.
 */
export const checkValue = <Value>(member: string, value: Value, pattern: RegExp = /^[1-9]\d{0,8}$/): Value => {
  try {
    // No member of an item: a list may be large.
    if (pattern.test(isText(value) ? '"' + value : isRecord(value) ? "" : JSON.stringify(value, []))) return value;
  } catch {
    // What has no JSON fits no pattern.
  }
  throw invalidArgument(member, `must match ${pattern}`);
};
