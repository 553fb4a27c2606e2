import { invalidArgument } from "./error.ts";

/**
 * The value, when it is no object and its JSON fits the pattern: so one pattern says of what type it is (a text stands in quotes) and of what form.
 *
 * @throws LettaEnvironmentsError `invalid_argument` naming the member and the pattern; the value is never repeated.
 */
export function checkValue<Value>(member: string, value: Value, pattern: RegExp): Value {
  if (typeof value !== "object" && pattern.test(JSON.stringify(value))) return value;
  throw invalidArgument(member, `must match ${pattern}`);
}
