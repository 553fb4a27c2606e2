import { identifierPattern, isIdentifier } from "@letta-environments/schema/identifier";
import { invalidArgument } from "../error.ts";

/** The value, encoded for a path. @throws LettaEnvironmentsError `invalid_argument` unless it may stand in one. */
export function encodeIdentifier(member: string, value: string): string {
  if (isIdentifier(value)) return encodeURIComponent(value);
  throw invalidArgument(member, `must match ${identifierPattern}`);
}
