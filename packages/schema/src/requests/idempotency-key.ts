/** The request header `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header-07). Any text is a key, not only a quoted one. */
import type { PlainResponse } from "../base/plain-http.ts";
import { problemResponse } from "../problems/problem.ts";

/** Name of the header. */
export const idempotencyKeyHeader = "idempotency-key";

/** Printable ASCII without commas: runtimes join repeated fields with commas, so a comma may mean two headers. */
const keyPattern = /^[\x20-\x2b\x2d-\x7e]{1,256}$/;

/** Returns 400 `invalid_request` for a header that is not a key, or that was sent twice; `null` for a key or a missing header. */
export function checkIdempotencyKey(value: string | null | undefined): PlainResponse | null {
  if (value === null || value === undefined || keyPattern.test(value)) return null;
  const rule = "must be sent once, as 1 to 256 printable ASCII characters without a comma";
  return problemResponse("invalid_request", { issues: [{ member: idempotencyKeyHeader, rule }] });
}
