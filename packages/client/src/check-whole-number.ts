import { invalidArgument } from "./error.ts";

/** A number of milliseconds, bytes or times. @throws LettaEnvironmentsError `invalid_argument` naming the option. */
export function checkWholeNumber(member: string, value: number): number {
  if (Number.isInteger(value) && value >= 0 && value < 2 ** 31) return value;
  throw invalidArgument(member, "must be a whole number from 0 to 2147483647");
}
