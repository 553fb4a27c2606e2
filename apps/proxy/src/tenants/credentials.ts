/**
 * The upstream credentials of tenants. Two tenants with the same credential would see each other's devices, because a remote
 * upstream cannot tell them apart. This module finds such conflicts, and refuses tenants that would cause one.
 */
import type { Clock } from "@letta-environments/platform";
import type { DeviceAllowlist } from "@letta-environments/schema";
import { callsUpstream, type KeyRecord, type KeySummary } from "../keys/key-record.ts";
import { createBoundedMap } from "../lib/bounded-map.ts";
import type { SettingProblem } from "../lib/setting-rules.ts";
import type { KeyStore } from "../ports.ts";
import type { AdmitsTenant, CredentialKind, CredentialOf, TenantSettings, TokenTenant } from "./settings.ts";

/** Returns the upstream credentials of tenants, where none of them is in a file. */
export function credentialsFromSettings(
  tenants: ReadonlyMap<string, TenantSettings>,
  defaultCredential: string | null,
): CredentialOf {
  return (tenant) => {
    const credential = tenants.get(tenant)?.credential ?? null;
    return credential?.kind === "environment" ? credential.value : defaultCredential;
  };
}

/** Lists every tenant that calls the upstream, configured or known by its keys, with its credential. */
export function tenantCredentials(
  tenants: ReadonlyMap<string, TenantSettings>,
  jwt: TokenTenant | null,
  live: ReadonlySet<string>,
  credentialOf: CredentialOf,
): readonly TenantCredential[] {
  const names = new Set([...tenants.keys(), ...live, ...(jwt === null || jwt.tenant === null ? [] : [jwt.tenant])]);
  return [...names].map((tenant) => {
    const { deviceIds = null, connectionNames = null } = tenants.get(tenant) ?? {};
    return { tenant, credential: credentialOf(tenant), deviceIds, connectionNames };
  });
}

/** Returns the tenants with a key that can call the upstream, now or once it is enabled again. */
export function liveTenants({ live }: Pick<KeySummary, "live">): ReadonlySet<string> {
  return new Set([...live].flatMap(([tenant, calls]) => (calls ? [tenant] : [])));
}

/** A tenant and the credential of its upstream requests. */
export interface TenantCredential extends DeviceAllowlist {
  readonly tenant: string;
  /** `null`: no credential, which tenants can share like any other. */
  readonly credential: string | null;
}

/**
 * Finds tenants that would see each other's devices. Tenants that share a credential must each have a device allowlist, and no
 * id may be in two of them.
 */
export function findSharedCredentials(tenants: readonly TenantCredential[]): SettingProblem[] {
  return tenants.flatMap((tenant) => {
    const others = tenants.filter((other) => other !== tenant && other.credential === tenant.credential);
    const [first] = others;
    if (first === undefined) return [];
    const setting = `tenants.${tenant.tenant}`;
    if (tenant.deviceIds === null && tenant.connectionNames === null) {
      const rule = `shares its upstream credential with tenant '${first.tenant}': give it one of its own (upstream.credentialEnv or upstream.credentialFile), or give both a device allowlist (deviceIds, connectionNames)`;
      return [{ setting, rule }];
    }
    const rival = others.find(({ deviceIds }) => deviceIds?.some((id) => tenant.deviceIds?.includes(id)));
    if (rival === undefined) return [];
    return [
      {
        setting: `${setting}.deviceIds`,
        rule: `has a device of tenant '${rival.tenant}', which shares its upstream credential`,
      },
    ];
  });
}

/**
 * Decides which changed credentials may not be used, because tenants would see each other's devices. The tenants of those keep their present ones, which
 * can rule out further changes.
 *
 * @param current every tenant with the credential that it uses now
 * @param changed the new credentials by tenant
 * @returns the broken rule of each tenant whose change is refused
 */
export function refuseSharedChanges(
  current: readonly TenantCredential[],
  changed: ReadonlyMap<string, string>,
): ReadonlyMap<string, string> {
  const refused = new Map<string, string>();
  const effective = ({ tenant, credential }: TenantCredential): string | null =>
    refused.has(tenant) ? credential : (changed.get(tenant) ?? credential);
  for (;;) {
    const next = current.map((tenant) => ({ ...tenant, credential: effective(tenant) }));
    const groups = Map.groupBy(next, ({ credential }) => credential);
    const found = next.flatMap(({ tenant, credential }): [string, string][] => {
      if (!changed.has(tenant) || refused.has(tenant)) return [];
      const [problem] = findSharedCredentials(groups.get(credential) ?? []);
      return problem === undefined ? [] : [[tenant, `${problem.setting} ${problem.rule}`]];
    });
    if (found.length === 0) return refused;
    for (const [tenant, rule] of found) refused.set(tenant, rule);
  }
}

/** The configured tenants and their credentials. */
export interface TenantSharing {
  readonly tenants: ReadonlyMap<string, TenantSettings>;
  readonly jwt: TokenTenant | null;
  readonly credentialOf: CredentialOf;
}

/** Finds the conflicts that a new key would cause: with it the next start would fail. A key of a configured tenant causes none. */
export async function findCredentialConflicts(
  { tenants, jwt, credentialOf }: TenantSharing,
  keyStore: Pick<KeyStore, "summarize">,
  added: KeyRecord,
  nowMs: number,
): Promise<readonly SettingProblem[]> {
  if (tenants.has(added.tenant) || added.tenant === jwt?.tenant || callsUpstream(added, nowMs) !== true) return [];
  const live = liveTenants(await keyStore.summarize(nowMs));
  const problemsWith = (some: ReadonlySet<string>): readonly SettingProblem[] =>
    findSharedCredentials(tenantCredentials(tenants, jwt, some, credentialOf));
  const present = new Set(problemsWith(live).map(({ setting }) => setting));
  return problemsWith(new Set([...live, added.tenant])).filter(({ setting }) => !present.has(setting));
}

/** How long a refused tenant stays refused without another read of the keys, in milliseconds, unless a key changes. */
const refusalMs = 1_000;
/** The most refused tenants in memory. */
const maxRefusals = 1_000;

/** The options of {@link createTenantAdmission}. */
export interface TenantAdmissionOptions extends TenantSharing {
  readonly clock: Pick<Clock, "now" | "monotonic">;
  readonly keyStore: Pick<KeyStore, "summarize" | "generation">;
}

/**
 * Returns a function that decides whether a tenant may call a remote upstream. Configured tenants were validated at the start.
 * One tenant without a configuration may use `LETTA_API_KEY`, if no other such tenant has keys at its first call. A second one is refused
 * until the configuration names it, or until every key of the first has ended.
 */
export function createTenantAdmission(options: TenantAdmissionOptions): AdmitsTenant {
  const { tenants, jwt, keyStore, clock, credentialOf } = options;
  const refusals = createBoundedMap<{ readonly generation: number; readonly untilMs: number }>(maxRefusals);
  let sole: string | null = null;

  async function claim(tenant: string): Promise<boolean> {
    const summary = await keyStore.summarize(clock.now());
    const live = new Set([...liveTenants(summary), tenant]);
    const problems = findSharedCredentials(tenantCredentials(tenants, jwt, live, credentialOf));
    if (problems.some(({ setting }) => setting === `tenants.${tenant}`)) return false;
    // A key counts whatever its scopes are: its requests may still be admitted.
    if (sole === null || !summary.live.has(sole)) sole = tenant;
    return sole === tenant;
  }

  async function claimUnlessRefused(tenant: string): Promise<boolean> {
    const generation = keyStore.generation();
    const refusal = refusals.get(tenant);
    if (refusal?.generation === generation && clock.monotonic() < refusal.untilMs) return false;
    const isAdmitted = await claim(tenant);
    if (!isAdmitted) refusals.set(tenant, { generation, untilMs: clock.monotonic() + refusalMs });
    return isAdmitted;
  }

  return (tenant: string, via: CredentialKind) => {
    if (tenants.has(tenant) || tenant === jwt?.tenant) return true;
    // A token can name any tenant, so its tenant must be configured. It may also stay cached for longer than the keys of the admitted tenant.
    return via === "key" && (tenant === sole || claimUnlessRefused(tenant));
  };
}
