import type { Scope } from "@letta-environments/schema";
import type { KeyRecord } from "../keys/key-record.ts";

const callerScopes: readonly Scope[] = ["list", "read", "send"];

/** Tenants with a key that can call the upstream, now or once it is enabled again. */
export function liveTenants(records: readonly KeyRecord[], nowMs: number): ReadonlySet<string> {
  const live = records.filter(
    ({ revokedAt, expiresAt, scopes }) =>
      revokedAt === null &&
      (expiresAt === null || nowMs < expiresAt) &&
      scopes.some((scope) => callerScopes.includes(scope)),
  );
  return new Set(live.map(({ tenant }) => tenant));
}
