/**
 * The caller of an explained request: a stored key, or the claims of a token. Claims describe a token's content. They are not a credential:
 * they have no signature, only the administration accepts them, and nothing is ever sent for them.
 */
import type { Principal } from "@letta-environments/schema";
import { type Authentication, refuseInvalidKey } from "../auth/authentication.ts";
import { refusalReason, verifySecret } from "../auth/gateway-key.ts";
import { principalOfClaims } from "../auth/jwt-claims.ts";
import type { JwtSettings } from "../auth/jwt-settings.ts";
import type { CredentialKind } from "../tenants/settings.ts";
import type { KeyGrants } from "../admin/grants.ts";
import { credentialOf, type KeyRecord, unrestricted } from "../keys/key-record.ts";
import type { JsonObject } from "../lib/json.ts";
import type { GatewayPorts, HasExpired } from "../ports.ts";
import { type ExplainedRule, finding } from "./explanation.ts";

/** A caller, as the steps of the pipeline receive it. */
export interface ExplainedCaller {
  /** The id of the key, or the one that stands for the subject of the token; `null` for claims without a principal. */
  readonly keyId: string | null;
  readonly kind: CredentialKind;
  readonly authentication: Authentication;
  /** Findings before the first step. */
  readonly rules: readonly ExplainedRule[];
}

/** Authenticates a key by its record, as a request with its newest secret would be. */
export function callerOfKey(record: KeyRecord, hasExpired: HasExpired): ExplainedCaller {
  return { keyId: record.id, kind: "key", authentication: authenticateRecord(record, hasExpired), rules: [] };
}

function authenticateRecord(record: KeyRecord, hasExpired: HasExpired): Authentication {
  const [secret] = record.secrets;
  if (secret === undefined) return refuseInvalidKey("key_secret_unknown");
  const verified = verifySecret(record, secret);
  if (verified.kind !== "valid") return refuseInvalidKey(refusalReason(verified, record, hasExpired));
  const { principal, expiresAt } = verified;
  if (expiresAt !== null && hasExpired(credentialOf(principal), expiresAt)) return refuseInvalidKey("key_expired");
  return { kind: "authenticated", principal };
}

/** Returns the caller that a token with these claims would authenticate. `settings`: `null` where no tokens are accepted. */
export function callerOfClaims(
  claims: JsonObject,
  settings: JwtSettings | null,
  { clock, digests }: Pick<GatewayPorts, "clock" | "digests">,
): ExplainedCaller {
  const refuse = (reason: string): ExplainedCaller => {
    return { keyId: null, kind: "token", rules: [], authentication: refuseInvalidKey(reason) };
  };
  if (settings === null) return refuse("token_not_accepted");
  const invalid = invalidClaim(claims, settings, clock.now());
  if (invalid !== null) return refuse(invalid);
  const principal = principalOfClaims(claims, settings, digests);
  if ("invalidClaim" in principal) return refuse(`token_claim_${principal.invalidClaim}`);
  const assumed = ["iss", "aud", "exp"].filter((name) => claims[name] === undefined);
  const detail = `a real token needs a valid signature${assumed.length === 0 ? "" : ` and the claims ${assumed.join(", ")}`}; they are taken for granted`;
  return {
    keyId: principal.keyId,
    kind: "token",
    authentication: { kind: "authenticated", principal },
    rules: [finding("verify the token", "unknown", detail)],
  };
}

/**
 * Returns why a token with these registered claims would be refused (RFC 7519 section 4.1), as the log would name it, or `null`. Missing
 * claims other than the subject are assumed to be valid.
 */
function invalidClaim(claims: JsonObject, settings: JwtSettings, nowMs: number): string | null {
  const { iss, aud, exp, iat, nbf } = claims;
  const { issuer, audience, clockToleranceMs } = settings;
  if (iss !== undefined && iss !== issuer) return "token_issuer";
  const audiences: readonly unknown[] = Array.isArray(aud) ? aud : [aud];
  if (aud !== undefined && !audiences.some((name) => audience.some((own) => own === name))) return "token_audience";
  if (iat !== undefined && typeof iat !== "number") return "token_claim_invalid";
  if (nbf !== undefined && typeof nbf !== "number") return "token_claim_invalid";
  if (nbf !== undefined && nbf * 1_000 > nowMs + clockToleranceMs) return "token_not_yet_valid";
  if (exp !== undefined && (typeof exp !== "number" || !Number.isFinite(exp))) return "token_expiry_invalid";
  return exp !== undefined && exp * 1_000 + clockToleranceMs <= nowMs ? "token_expired" : null;
}

/** The rights of a token's principal, in the form of a key that an administering key could grant. */
export function grantsOf({ owner: _owner, ...principal }: Principal): KeyGrants {
  const { keyId: id, tenant, scopes, deviceIds, connectionNames, deviceTags = null, agentIds, maxMode } = principal;
  const limits = { deviceIds, connectionNames, deviceTags, agentIds, maxMode };
  return { ...unrestricted, id, tenant, scopes: [...scopes], ...limits };
}
