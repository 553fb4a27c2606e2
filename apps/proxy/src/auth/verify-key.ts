import { credentialIdOf, type KeyRecord, unsupportedFeatures } from "../keys/key-record.ts";
import type { GatewayPrincipal } from "./gateway-principal.ts";
import type { Digests, Pepper } from "../ports.ts";

/** A valid key, and when it expires. */
export interface VerifiedKey {
  readonly kind: "valid";
  readonly principal: GatewayPrincipal;
  /** Epoch milliseconds; `null` means that it does not end by itself. */
  readonly expiresAt: number | null;
  /** Whether a newer secret has taken the place of the presented one, which is good for the overlap of the rotation alone. */
  readonly isOnWayOut: boolean;
}

/** The result of {@link verifyKey}. */
export type KeyVerification =
  | VerifiedKey
  | { readonly kind: "invalid" }
  /** The secret matches, but the key requires features that this version cannot enforce. */
  | { readonly kind: "unsupported"; readonly features: readonly string[] };

/**
 * Holds a presented key against its record: HMAC under the pepper, compared in constant time with every secret, so that the
 * time tells neither how much of a digest matched nor which secret did. Expiry is for the caller to judge by its clock.
 */
export function verifyKey(key: string, record: KeyRecord, pepper: Pepper, digests: Digests): KeyVerification {
  const presented = digests.hmacSha256(pepper.secret, key);
  const secret = record.secrets
    .map((candidate) => ({ candidate, equal: digests.constantTimeEqual(presented, candidate.digest) }))
    .find(({ candidate, equal }) => equal && candidate.pepperId === pepper.id)?.candidate;
  if (secret === undefined || record.revokedAt !== null || record.disabledAt !== null) return { kind: "invalid" };
  const features = unsupportedFeatures(record);
  if (features.length > 0) return { kind: "unsupported", features };
  const expiresAt = earlier(record.expiresAt, secret.expiresAt);
  return {
    kind: "valid",
    principal: principalOf(record, credentialIdOf(secret)),
    expiresAt,
    isOnWayOut: secret !== record.secrets[0],
  };
}

function principalOf(record: KeyRecord, credentialId: string): GatewayPrincipal {
  return {
    tenant: record.tenant,
    keyId: record.id,
    credentialId,
    owner: record.owner,
    scopes: new Set(record.scopes),
    deviceIds: record.deviceIds,
    connectionNames: record.connectionNames,
    agentIds: record.agentIds,
    maxMode: record.maxMode,
    shared: record.shared,
    ...(record.rateLimits !== null && { rateLimits: record.rateLimits }),
  };
}

function earlier(left: number | null, right: number | null): number | null {
  if (left === null || right === null) return left ?? right;
  return Math.min(left, right);
}
