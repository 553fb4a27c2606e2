import { type PlainResponse, problemResponse } from "@letta-environments/schema";
import type { AdmitsTenant, CredentialKind, TenantSettings } from "../tenants/settings.ts";
import type { GatewayPrincipal } from "./authentication.ts";
import type { Authentication } from "./gateway-key.ts";

/** Holds callers to what the configuration says of their tenant. */
export interface TenantGate {
  admit(
    authentication: Authentication | Promise<Authentication>,
    via: CredentialKind,
  ): Authentication | Promise<Authentication>;
}

/** Creates a {@link TenantGate}. What it found of a principal is kept as long as the principal is, so a warm request waits for nothing. */
export function createTenantGate({
  tenants,
  admitsTenant,
}: {
  readonly tenants: ReadonlyMap<string, TenantSettings>;
  readonly admitsTenant?: AdmitsTenant | undefined;
}): TenantGate {
  if (admitsTenant === undefined && tenants.size === 0) return { admit: (given) => given };
  const known = new WeakMap<GatewayPrincipal, Authentication>();

  async function judge(principal: GatewayPrincipal, via: CredentialKind): Promise<Authentication> {
    const isAdmitted = admitsTenant === undefined || (await admitsTenant(principal.tenant, via));
    // Not remembered: keys come and go, and with them what a tenant shares.
    if (!isAdmitted) return { kind: "refused", response: notConfigured };
    const settings = tenants.get(principal.tenant);
    const held = settings === undefined ? principal : ofTenant(principal, settings);
    const authentication: Authentication = { kind: "authenticated", principal: held };
    known.set(principal, authentication);
    return authentication;
  }

  function admitOne(authentication: Authentication, via: CredentialKind): Authentication | Promise<Authentication> {
    if (authentication.kind === "refused") return authentication;
    return known.get(authentication.principal) ?? judge(authentication.principal, via);
  }

  return {
    admit: (given, via) => (given instanceof Promise ? given.then((one) => admitOne(one, via)) : admitOne(given, via)),
  };
}

const notConfigured: PlainResponse = problemResponse("tenant_not_configured");

function ofTenant(
  principal: GatewayPrincipal,
  { deviceIds, connectionNames, publicName }: TenantSettings,
): GatewayPrincipal {
  return {
    ...principal,
    ...((deviceIds !== null || connectionNames !== null) && { tenantDevices: { deviceIds, connectionNames } }),
    ...(publicName !== null && { tenantName: publicName }),
  };
}
