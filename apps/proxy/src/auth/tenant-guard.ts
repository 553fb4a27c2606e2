/**
 * Applies the configuration to callers: whether their tenant may call the upstream, its devices, its public name and its approval policies. Callers
 * that opened a socket before the configuration changed are compared with the permissions that they would have now.
 */
import { type PlainResponse, type Principal, problemResponse, refused } from "@letta-environments/schema";
import type { PermissionRules } from "../keys/socket-key-watch.ts";
import type { ConfigurePermissions } from "../keys/socket-permissions.ts";
import { mapMaybe, type MaybePromise } from "../lib/steps.ts";
import {
  type AdmitsTenant,
  type ApprovalPolicies,
  approvalPolicyOf,
  type CredentialKind,
  type TenantSettings,
} from "../tenants/settings.ts";
import type { Authentication, GatewayPrincipal } from "./authentication.ts";
import { type LiftRestrictions, liftRestrictions, restrictedPrincipalOf, type ShadowSettings } from "./shadow.ts";

/** See {@link createTenantGuard}. */
export type TenantGuard = (
  authentication: MaybePromise<Authentication>,
  via: CredentialKind,
) => MaybePromise<Authentication>;

/** Maps each configured caller to the caller as it was authenticated, before the configuration was applied. */
const principalsAsAuthenticated = new WeakMap<Principal, Principal>();

/** Creates a {@link TenantGuard}. The result is cached as long as its principal, so that a cached key stays synchronous. */
export function createTenantGuard({
  tenants,
  approvals,
  admitsTenant,
}: {
  readonly tenants: ReadonlyMap<string, TenantSettings>;
  readonly approvals: ApprovalPolicies | null;
  readonly admitsTenant?: AdmitsTenant | undefined;
}): TenantGuard {
  if (admitsTenant === undefined && tenants.size === 0 && approvals === null) return (authentication) => authentication;
  const admitted = new WeakMap<GatewayPrincipal, Authentication>();

  async function decide(principal: GatewayPrincipal, via: CredentialKind): Promise<Authentication> {
    const isAdmitted = admitsTenant === undefined || (await admitsTenant(principal.tenant, via));
    // A refusal is not cached: as keys come and go, so do the tenants that share a credential.
    if (!isAdmitted) return refused(notConfigured);
    const settings = tenants.get(principal.tenant);
    const approvalPolicy = approvals === null ? null : approvalPolicyOf(approvals, principal);
    const configured = settings === undefined ? principal : applySettings(principal, settings);
    const allowed = approvalPolicy === null ? configured : { ...configured, approvalPolicy };
    const authentication: Authentication = { kind: "authenticated", principal: allowed };
    admitted.set(principal, authentication);
    principalsAsAuthenticated.set(allowed, principal);
    return authentication;
  }

  return (authentication, via) =>
    mapMaybe(authentication, (result) => {
      if (result.kind === "refused") return result;
      return admitted.get(result.principal) ?? decide(result.principal, via);
    });
}

const notConfigured: PlainResponse = problemResponse("tenant_not_configured");

function applySettings(
  principal: GatewayPrincipal,
  { deviceIds, connectionNames, publicName }: TenantSettings,
): GatewayPrincipal {
  return {
    ...principal,
    ...((deviceIds !== null || connectionNames !== null) && { tenantDevices: { deviceIds, connectionNames } }),
    ...(publicName !== null && { tenantName: publicName }),
  };
}

/** The settings that change the permissions of callers. */
export interface PermissionSettings {
  readonly approvals: ApprovalPolicies | null;
  readonly shadow: ShadowSettings | null;
}

/** Creates the {@link PermissionRules} of the current settings. */
export function createPermissionRules(settings: () => PermissionSettings): PermissionRules {
  let known: { readonly settings: PermissionSettings; readonly configure: ConfigurePermissions } | null = null;
  return {
    configure() {
      const current = settings();
      if (known?.settings !== current) known = { settings: current, configure: configureWith(current) };
      return known.configure;
    },
    asAuthenticated(principal) {
      const restricted = restrictedPrincipalOf(principal);
      return principalsAsAuthenticated.get(restricted) ?? restricted;
    },
  };
}

function configureWith({ approvals, shadow }: PermissionSettings): ConfigurePermissions {
  return configurePermissions(approvals, shadow === null ? (own) => own : (own) => liftRestrictions(own, shadow));
}

/** Creates a {@link ConfigurePermissions} for policies and for a shadow mode. */
export function configurePermissions(
  approvals: ApprovalPolicies | null,
  liftRestrictions: LiftRestrictions,
): ConfigurePermissions {
  return (own) => {
    const approvalPolicy = approvals === null ? null : approvalPolicyOf(approvals, own);
    const lifted = liftRestrictions(own);
    return approvalPolicy === null ? lifted : { ...lifted, approvalPolicy };
  };
}
