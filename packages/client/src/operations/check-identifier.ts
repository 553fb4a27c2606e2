import { identifierRule, isIdentifier } from "@letta-environments/schema";
import { invalidArgument } from "../error.ts";

/** @throws LettaEnvironmentsError `invalid_argument` unless the value may stand in a path. */
export function checkIdentifier(member: string, value: unknown): void {
  if (value === null || value === undefined) {
    const rule = member === "connectionId" ? "is required; it is null while the device is offline" : "is required";
    throw invalidArgument([{ member, rule }]);
  }
  if (!isIdentifier(value)) throw invalidArgument([{ member, rule: `must be ${identifierRule}` }]);
}
