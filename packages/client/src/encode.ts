/** Writes the path and the body of a request. */
import { checkIdentifier } from "./check.ts";
import { invalidArgument } from "./error.ts";

/** The header of a body that {@link stringify} wrote. */
export const jsonHeaders = { "content-type": "application/json" } as const;

/**
 * Path of an environment by its device or its connection. The characters that ids consist of need no encoding.
 *
 * @throws LettaEnvironmentsError `invalid_argument`
 */
export function environmentPath(member: "deviceId" | "connectionId", id: string): `/${string}` {
  checkIdentifier(member, id);
  return `/v1/environments/${id}`;
}

/** @throws LettaEnvironmentsError `invalid_argument` */
export function stringify(member: string, value: unknown): string {
  try {
    // `undefined` if a `toJSON` method returns it.
    const text: string | undefined = JSON.stringify(value);
    if (text !== undefined) return text;
  } catch {
    // Circular, or it contains a bigint.
  }
  throw invalidArgument(member, "must be serialisable as JSON");
}
