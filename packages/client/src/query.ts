/** Writes the query of a request. */
import { check, checkFlag, checkIdentifier, checkInteger, checkRecord, checkText } from "./check.ts";

/** Returns a query with its question mark; empty if it has no members. @throws LettaEnvironmentsError `invalid_argument` naming a member. */
export function encodeQuery(query?: object | null): string {
  checkRecord("query", query ?? {});
  const wire = new URLSearchParams();
  for (const [name, given] of Object.entries(query ?? {}))
    for (const value of ["tag", "agentId"].includes(name) ? [given].flat() : [given])
      if (value !== undefined) {
        checkMember(name, value);
        wire.append(name, String(value));
      }
  const text = String(wire);
  return text && `?${text}`;
}

function checkMember(name: string, value: unknown): void {
  switch (name) {
    case "after":
      return checkIdentifier(name, value);
    case "limit":
      return checkInteger(name, typeof value === "string" && /^\d+$/.test(value) ? Number(value) : value, 1, 100);
    case "onlineOnly":
      return checkFlag(name, value === "true" || value === "false" || value);
    case "source":
      return check(name, value === "local" || value === "remote", 'must be "local" or "remote"');
    default:
      // Members that are newer than this package are passed on.
      return checkText(name, value);
  }
}
