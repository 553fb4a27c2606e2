import { invalidArgument } from "./error.ts";

/**
 * The value, when its JSON fits the pattern: so one pattern says of what type it is (a text stands in quotes) and of what form.
 *
 * @throws LettaEnvironmentsError `invalid_argument` naming the member and the pattern; the value is never repeated.
 */
export function checkValue<Value>(member: string, value: Value, pattern: RegExp): Value {
  if (pattern.test(JSON.stringify(value))) return value;
  throw invalidArgument(member, `must match ${pattern}`);
}
