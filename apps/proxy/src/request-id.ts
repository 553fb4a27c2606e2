import type { RandomId } from "@letta-environments/platform";

const requestIdPattern = /^[A-Za-z0-9._-]{1,128}$/;

/** The id a request goes by: the caller's own `X-Request-Id` when it is safe to log and to send on, else a new one. */
export function resolveRequestId(presented: string | null, randomId: RandomId): string {
  return presented !== null && requestIdPattern.test(presented) ? presented : randomId("req");
}
