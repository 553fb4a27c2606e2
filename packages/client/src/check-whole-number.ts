import { invalidArgument } from "./error.ts";

/** A number of milliseconds, bytes or times. @throws LettaEnvironmentsError `invalid_argument` naming the option. */
export function checkWholeNumber(member: string, value: number, minimum = 0, maximum = 2_147_483_647): number {
  if (Number.isInteger(value) && value >= minimum && value <= maximum) return value;
  throw invalidArgument(member, `must be a whole number from ${minimum} to ${maximum}`);
}
