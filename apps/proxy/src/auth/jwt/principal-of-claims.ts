import { isIdentifier, type Principal, type Scope, scopes } from "@letta-environments/schema";
import type { ClaimPath } from "../jwt-settings.ts";
import type { JwtSettings } from "../jwt-settings.ts";
import type { Digests } from "../../ports.ts";
import { passThroughTenantPrefix } from "../pass-through.ts";
import { readClaim } from "./read-claim.ts";

type Claims = Readonly<Record<string, unknown>>;

/** Longest text that a claim may hold. */
const maxTextLength = 256;

/** The strictest ceiling: what a token gets that should name one and does not. */
const strictestMode = "default";

/** Never a token's: only a key of the gateway's own can be seen and ended by whoever administers. */
const keyOnlyScope: Scope = "admin";

/** Scopes whose names an issuer may use for something else; they are given by `scopeMap` alone. */
const mappedScopes: ReadonlySet<Scope> = new Set(["connect", "admin"]);

/**
 * The bearer of a verified token, or `null` when a claim is missing or has the wrong form. An allowlist that is mapped but not
 * in the token is empty, not absent: a claim that an issuer forgets must not open everything.
 */
export function principalOfClaims(
  claims: Claims,
  settings: JwtSettings,
  digests: Pick<Digests, "sha256">,
): Principal | null {
  const subject = readText(claims["sub"]);
  const tenant =
    settings.tenant ?? readText(settings.claims.tenant === null ? null : readClaim(claims, settings.claims.tenant));
  const owner = readText(readClaim(claims, settings.claims.owner));
  if (subject === null || tenant === null || owner === null) return null;
  if (!isIdentifier(tenant) || tenant.startsWith(passThroughTenantPrefix)) return null;

  const granted = readNames(readClaim(claims, settings.claims.scopes));
  const deviceIds = allowlist(claims, settings.claims.deviceIds);
  const connectionNames = allowlist(claims, settings.claims.connectionNames);
  const agentIds = allowlist(claims, settings.claims.agentIds);
  const maxMode = ceiling(claims, settings.claims.maxMode);
  if (granted === null || deviceIds === null || connectionNames === null || agentIds === null || maxMode === null) {
    return null;
  }
  return {
    tenant,
    // A subject can be an address of a person; its digest is as stable, and may be logged.
    keyId: `jwt:${digests.sha256(JSON.stringify([settings.issuer, subject])).slice(0, 32)}`,
    owner,
    scopes: new Set(granted.flatMap((name) => scopesOf(name, settings))),
    deviceIds: deviceIds.value,
    connectionNames: connectionNames.value,
    agentIds: agentIds.value,
    maxMode: maxMode.value,
    shared: false,
  };
}

function scopesOf(name: string, { scopeMap }: JwtSettings): readonly Scope[] {
  if (scopeMap !== null) return (scopeMap.get(name) ?? []).filter((scope) => scope !== keyOnlyScope);
  return scopes.filter((scope) => scope === name && !mappedScopes.has(scope));
}

function allowlist(claims: Claims, path: ClaimPath | null): { readonly value: readonly string[] | null } | null {
  if (path === null) return { value: null };
  const names = readNames(readClaim(claims, path));
  return names === null ? null : { value: names };
}

function ceiling(claims: Claims, path: ClaimPath | null): { readonly value: string | null } | null {
  if (path === null) return { value: null };
  const value = readClaim(claims, path);
  if (value === undefined) return { value: strictestMode };
  const mode = readText(value);
  return mode === null ? null : { value: mode };
}

function readText(value: unknown): string | null {
  if (typeof value !== "string" || value === "" || value.length > maxTextLength || /\p{Cc}/u.test(value)) return null;
  return value;
}

/** A text separated by spaces (RFC 8693 section 4.2) or a list of texts; nothing is an empty list. */
function readNames(value: unknown): readonly string[] | null {
  if (value === undefined) return [];
  if (typeof value === "string") return value.split(" ").filter((name) => name !== "");
  if (!Array.isArray(value)) return null;
  const names: readonly unknown[] = value;
  return names.every((name) => typeof name === "string") ? names : null;
}
