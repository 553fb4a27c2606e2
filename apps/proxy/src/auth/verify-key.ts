import { credentialIdOf, type KeyRecord } from "../keys/key-record.ts";
import type { GatewayPrincipal } from "./gateway-principal.ts";
import type { Digests, Pepper } from "../ports.ts";

/** A key that was found to be good, and until when. */
export interface VerifiedKey {
  readonly principal: GatewayPrincipal;
  /** Epoch milliseconds; `null` means that it does not end by itself. */
  readonly expiresAt: number | null;
  /** Whether a newer secret has taken the place of the presented one, which is good for the overlap of the rotation alone. */
  readonly isOnWayOut: boolean;
}

/**
 * Holds a presented key against its record: HMAC under the pepper, compared in constant time with every secret, so that the
 * time tells neither how much of a digest matched nor which secret did. Expiry is for the caller to judge by its clock.
 */
export function verifyKey(key: string, record: KeyRecord, pepper: Pepper, digests: Digests): VerifiedKey | null {
  const presented = digests.hmacSha256(pepper.secret, key);
  const secret = record.secrets
    .map((candidate) => ({ candidate, equal: digests.constantTimeEqual(presented, candidate.digest) }))
    .find(({ candidate, equal }) => equal && candidate.pepperId === pepper.id)?.candidate;
  if (secret === undefined || record.revokedAt !== null || record.disabledAt !== null) return null;
  const expiresAt = earlier(record.expiresAt, secret.expiresAt);
  return {
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
