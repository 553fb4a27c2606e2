import type { JwtSettings } from "../auth/jwt-settings.ts";
import type { SettingProblem } from "../lib/setting-problem.ts";
import type { TenantSettings } from "./settings.ts";
import type { KeyRecord } from "../keys/key-record.ts";
import type { CredentialOf } from "./settings.ts";
import { findSharedCredentials } from "./find-shared-credentials.ts";
import { liveTenants } from "./live-tenants.ts";
import { tenantCredentials } from "./tenant-credentials.ts";

/** What the configuration says of tenants, and their credentials. */
export interface TenantSharing {
  readonly tenants: ReadonlyMap<string, TenantSettings>;
  readonly jwt: Pick<JwtSettings, "tenant"> | null;
  readonly credentialOf: CredentialOf;
}

/** Tenants that would see each other's devices once a key is there, and do not without it: with it the next start would fail. */
export function findCredentialConflicts(
  { tenants, jwt, credentialOf }: TenantSharing,
  records: readonly KeyRecord[],
  added: KeyRecord,
  nowMs: number,
): readonly SettingProblem[] {
  const problemsWith = (some: readonly KeyRecord[]): readonly SettingProblem[] =>
    findSharedCredentials(tenantCredentials(tenants, jwt, liveTenants(some, nowMs), credentialOf));
  const present = new Set(problemsWith(records).map(({ setting }) => setting));
  return problemsWith([...records, added]).filter(({ setting }) => !present.has(setting));
}
