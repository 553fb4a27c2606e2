import type { JwtSettings, SettingProblem, TenantSettings } from "../config/settings.ts";
import type { KeyRecord } from "../keys/key-record.ts";
import type { CredentialOf } from "../proxy-config.ts";
import { findSharedCredentials } from "./find-shared-credentials.ts";
import { liveTenants } from "./live-tenants.ts";
import { tenantCredentials } from "./tenant-credentials.ts";

/** What the configuration says of tenants, and their credentials. */
export interface TenantSharing {
  readonly tenants: ReadonlyMap<string, TenantSettings>;
  readonly jwt: Pick<JwtSettings, "tenant"> | null;
  readonly credentialOf: CredentialOf;
}

/** Returns the tenants that would share an upstream credential because of an added key. The next start would fail with it. */
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
