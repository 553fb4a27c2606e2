import { isIdentifier, type Principal, type Scope, scopes } from "@letta-environments/schema";
import { isJsonObject, type JsonObject, parseJson } from "../lib/json.ts";
import type { Digests } from "../ports.ts";
import type { ClaimPath, JwtSettings } from "./jwt-settings.ts";
import { passThroughTenantPrefix } from "./pass-through.ts";

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

/** The claim at a path; `undefined` when there is none. */
export function readClaim(claims: Readonly<Record<string, unknown>>, path: ClaimPath): unknown {
  let value: unknown = claims;
  for (const name of typeof path === "string" ? [path] : path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) return undefined;
    value = (value as Readonly<Record<string, unknown>>)[name];
  }
  return value;
}

/** A token whose signature is good. */
export interface SignedToken {
  readonly header: Readonly<Record<string, unknown>>;
  readonly payload: Uint8Array;
}

/** What a token says that holds now. */
export interface TokenClaims {
  readonly claims: JsonObject;
  /** Epoch milliseconds, tolerance included. */
  readonly expiresAt: number;
}

/**
 * Reads the claims of a token and judges the registered ones (RFC 7519 section 4.1, RFC 8725 section 3, RFC 9068 section 4): `null` where one that is
 * needed is missing, where one has another form, and where one does not hold.
 */
export function readClaims(
  { header, payload }: SignedToken,
  { type, issuer, audience, clockToleranceMs }: JwtSettings,
  nowMs: number,
): TokenClaims | null {
  // RFC 7797 section 7: the payload of a JWT is never unencoded.
  if (header["b64"] === false || mediaType(header["typ"]) !== mediaType(type)) return null;
  const claims = parseJson(payload);
  if (!isJsonObject(claims)) return null;
  const { iss, sub, aud, exp, nbf = 0, iat = 0 } = claims;
  if (iss !== issuer || sub === undefined) return null;
  const audiences: readonly unknown[] = Array.isArray(aud) ? aud : [aud];
  if (!audience.some((known) => audiences.includes(known))) return null;
  if (!isTime(exp) || !isTime(nbf) || !isTime(iat)) return null;
  const nowSeconds = Math.floor(nowMs / 1_000);
  const toleranceSeconds = clockToleranceMs / 1_000;
  if (nbf > nowSeconds + toleranceSeconds || exp <= nowSeconds - toleranceSeconds) return null;
  return { claims, expiresAt: exp * 1_000 + clockToleranceMs };
}

/** In lower case, and with the `application/` that may be left out (RFC 7515 section 4.1.9). */
function mediaType(value: unknown): string | null {
  if (typeof value !== "string") return null;
  const lowerCase = value.toLowerCase();
  return lowerCase.includes("/") ? lowerCase : `application/${lowerCase}`;
}

/** A time in JSON can be too large for a number. */
function isTime(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value);
}
