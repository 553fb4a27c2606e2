/** Refusals of writes by a Valkey or Redis server. */
import { ValkeyError } from "@letta-environments/platform";

/**
 * Returns the code of an error with which a running server took no write: it has reached `maxmemory` (`OOM`), has become a replica, cannot store its
 * data, or has too few replicas. It checks that only before the first write of a script, so nothing was written. `null` for any other failure.
 */
export function refusalOfWrite(failure: unknown): string | null {
  if (!(failure instanceof ValkeyError) || failure.code !== "refused" || !(failure.cause instanceof Error)) return null;
  // Before version 7, the error of a script has a prefix.
  return /(?:^|[ -])(OOM|READONLY|MISCONF|NOREPLICAS) /.exec(failure.cause.message)?.[1] ?? null;
}
