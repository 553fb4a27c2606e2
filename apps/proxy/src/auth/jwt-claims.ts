/** Maps the claims of a verified token to a principal, as configured. */
import type { Principal, Scope } from "@letta-environments/schema";
import type { Digests } from "../ports.ts";
import type { ClaimPath, JwtSettings } from "./jwt-settings.ts";
import { isTenantName } from "../lib/setting-rules.ts";

type Claims = Readonly<Record<string, unknown>>;

/** Longest text in a claim, in characters. */
const maxTextLength = 256;

/** The strictest mode, for a token that should name its maximum mode but does not. */
const strictestMode = "standard";

/** Tokens never have this scope: an administrator can list and revoke gateway keys, but not tokens. */
const keyOnlyScope: Scope = "admin";

/**
 * The scopes that a token gets by naming them if there is no `scopeMap`. Only `scopeMap` grants any other, except for {@link keyOnlyScope}: an
 * issuer may use its name for something else, and tokens that were issued before a scope existed must not gain it. So no new scope is added here.
 */
export const scopesGrantedByName: readonly Scope[] = ["list", "read", "send", "approve", "details"];

/** The setting under `claims` whose claim is missing or malformed, or `sub`. */
export interface InvalidClaim {
  readonly invalidClaim: "sub" | keyof JwtSettings["claims"];
}

/**
 * Returns the principal of a verified token, or the claim that is missing or malformed. An allowlist that is mapped to a
 * claim but missing from the token is empty, not unrestricted: a claim that an issuer forgets must not open everything.
 */
export function principalOfClaims(
  claims: Claims,
  settings: JwtSettings,
  digests: Pick<Digests, "sha256">,
): Principal | InvalidClaim {
  const subject = readText(claims["sub"]);
  const tenant =
    settings.tenant ?? readText(settings.claims.tenant === null ? null : readClaim(claims, settings.claims.tenant));
  const owner = readText(readClaim(claims, settings.claims.owner));
  if (subject === null) return { invalidClaim: "sub" };
  if (tenant === null || !isTenantName(tenant)) return { invalidClaim: "tenant" };
  if (owner === null) return { invalidClaim: "owner" };

  const granted = readScopes(readClaim(claims, settings.claims.scopes));
  const deviceIds = readAllowlist(claims, settings.claims.deviceIds);
  const connectionNames = readAllowlist(claims, settings.claims.connectionNames);
  const deviceTags = readAllowlist(claims, settings.claims.deviceTags);
  const agentIds = readAllowlist(claims, settings.claims.agentIds);
  const maxMode = readMaxMode(claims, settings.claims.maxMode);
  if (granted === null) return { invalidClaim: "scopes" };
  if (deviceIds === null) return { invalidClaim: "deviceIds" };
  if (connectionNames === null) return { invalidClaim: "connectionNames" };
  if (deviceTags === null) return { invalidClaim: "deviceTags" };
  if (agentIds === null) return { invalidClaim: "agentIds" };
  if (maxMode === null) return { invalidClaim: "maxMode" };
  return {
    tenant,
    // A subject can be a person's e-mail address; its digest is as stable and may be logged.
    keyId: `jwt:${digests.sha256(JSON.stringify([settings.issuer, subject])).slice(0, 32)}`,
    owner,
    // Includes scopes that a limit to agents or modes makes useless (`allowsScope`), because shadow mode can lift the limit.
    scopes: new Set(granted.flatMap((name) => scopesOf(name, settings))),
    deviceIds: deviceIds.value,
    connectionNames: connectionNames.value,
    ...(deviceTags.value !== null && { deviceTags: deviceTags.value }),
    agentIds: agentIds.value,
    maxMode: maxMode.value,
    shared: false,
  };
}

function scopesOf(name: string, { scopeMap }: JwtSettings): readonly Scope[] {
  if (scopeMap !== null) return (scopeMap.get(name) ?? []).filter((scope) => scope !== keyOnlyScope);
  return scopesGrantedByName.filter((scope) => scope === name);
}

/** The claim at a path; `undefined` when it is missing. */
function readClaim(claims: Claims, path: ClaimPath): unknown {
  let value: unknown = claims;
  for (const name of typeof path === "string" ? [path] : path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) return undefined;
    value = (value as Claims)[name];
  }
  return value;
}

function readAllowlist(claims: Claims, path: ClaimPath | null): { readonly value: readonly string[] | null } | null {
  if (path === null) return { value: null };
  const names = readNames(readClaim(claims, path));
  return names === null ? null : { value: names };
}

function readMaxMode(claims: Claims, path: ClaimPath | null): { readonly value: string | null } | null {
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

/** Scopes can be a space-separated text (RFC 8693 section 4.2). */
function readScopes(value: unknown): readonly string[] | null {
  return typeof value === "string" ? value.split(" ").filter((name) => name !== "") : readNames(value);
}

/** Reads one text or a list of texts. A name can contain spaces, so a text is not split. A missing claim or an empty text gives an empty list. */
function readNames(value: unknown): readonly string[] | null {
  if (value === undefined || value === "") return [];
  if (typeof value === "string") return [value];
  if (!Array.isArray(value)) return null;
  const names: readonly unknown[] = value;
  return names.every((name) => typeof name === "string") ? names : null;
}
