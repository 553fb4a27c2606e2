import { type PlainResponse, problemResponse } from "@letta-environments/schema";
import type { ProxyConfig } from "../proxy-config.ts";
import type { Authentication } from "./authenticate.ts";
import type { GatewayPrincipal } from "./gateway-principal.ts";
import type { TenantSettings } from "../config/settings.ts";

/** Holds callers to what the configuration says of their tenant. */
export interface TenantGate {
  admit(
    authentication: Authentication | Promise<Authentication>,
    via: TenantWay,
  ): Authentication | Promise<Authentication>;
}

/** What told the tenant: a gateway key or a token. */
export type TenantWay = "key" | "token";

/** Creates a {@link TenantGate}. What it found of a principal is kept as long as the principal is, so a warm request waits for nothing. */
export function createTenantGate(config: Pick<ProxyConfig, "upstream" | "tenants">): TenantGate {
  const admitsTenant = config.upstream.kind === "http" ? config.upstream.admitsTenant : undefined;
  const { tenants } = config;
  if (admitsTenant === undefined && (tenants === undefined || tenants.size === 0)) return { admit: (given) => given };
  const known = new WeakMap<GatewayPrincipal, Authentication>();

  async function judge(principal: GatewayPrincipal, via: TenantWay): Promise<Authentication> {
    const isAdmitted = admitsTenant === undefined || (await admitsTenant(principal.tenant, via));
    // Not remembered: keys come and go, and with them what a tenant shares.
    if (!isAdmitted) return { kind: "refused", response: notConfigured };
    const settings = tenants?.get(principal.tenant);
    const held = settings === undefined ? principal : ofTenant(principal, settings);
    const authentication: Authentication = { kind: "authenticated", principal: held };
    known.set(principal, authentication);
    return authentication;
  }

  function admitOne(authentication: Authentication, via: TenantWay): Authentication | Promise<Authentication> {
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
