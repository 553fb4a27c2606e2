import { credentialIdOf } from "../keys/key-record.ts";
import { unsupportedFeatures } from "../keys/key-record.ts";
import type { PlainResponse } from "@letta-environments/schema";
import { hasKeyLength, parseKeyId } from "../keys/key-format.ts";
import type { KeyRecord } from "../keys/key-record.ts";
import { createBoundedMap } from "../lib/bounded-map.ts";
import type { Digests, GatewayPorts, Pepper } from "../ports.ts";
import { type GatewayPrincipal, invalidKey, missingKey } from "./authentication.ts";
import { readBearerToken } from "./bearer-token.ts";

/**
 * Who makes a request.
 *
 * A key that was verified before is found by the SHA-256 of what was presented, in a bounded map, without waiting. Any other
 * is parsed offline, then looked up and verified. Both answers are kept: good ones until a key changes anywhere
 * ({@link KeyStore.generation}), refusals for a few seconds at most. Expiry is judged by the clock on every request.
 */

/** Verified keys kept in memory. */
const maxVerifiedKeys = 10_000;
/** Refused keys kept in memory, and for how long. */
const maxRefusedKeys = 10_000;
const refusalMs = 5_000;

/** The principal of a request, or the 401 that it gets. */
export type Authentication =
  | { readonly kind: "authenticated"; readonly principal: GatewayPrincipal }
  | { readonly kind: "refused"; readonly response: PlainResponse };

/** Judges the `Authorization` value of a request. */
export type Authenticate = (
  authorization: string | null,
  /** Nothing is looked up: only what was verified before is let in, and the answer is there at once. */
  onlyKnown?: boolean,
) => Authentication | Promise<Authentication>;

/** Creates an {@link Authenticate} with its own memory of keys. */
export function createAuthenticate(
  ports: Pick<GatewayPorts, "clock" | "digests" | "keyStore" | "noteKeyUse" | "pepper" | "telemetry">,
): Authenticate {
  const { clock, digests, keyStore, noteKeyUse, pepper, telemetry } = ports;
  const verified = createBoundedMap<VerifiedKey>(maxVerifiedKeys);
  const refusedUntil = createBoundedMap<number>(maxRefusedKeys);
  let generation = keyStore.generation();

  function forgetWhenKeysChanged(): void {
    const current = keyStore.generation();
    if (current === generation) return;
    generation = current;
    verified.clear();
    refusedUntil.clear();
  }

  function judge(key: VerifiedKey): Authentication {
    if (key.expiresAt !== null && clock.now() >= key.expiresAt) return refused();
    noteKeyUse?.(key.principal.keyId);
    return { kind: "authenticated", principal: key.principal };
  }

  async function lookUp(token: string, digest: string, id: string): Promise<Authentication> {
    const askedIn = generation;
    const record = await keyStore.find(id);
    const key = record === null ? null : verifyKey(token, record, pepper, digests);
    if (key?.kind === "unsupported") telemetry({ type: "key_unsupported", keyId: id, features: key.features });
    // What was read before a change must not be remembered after it.
    const current = askedIn === keyStore.generation();
    if (key?.kind !== "valid") {
      if (current) refusedUntil.set(digest, clock.now() + refusalMs);
      return refused();
    }
    if (current) verified.set(digest, key);
    return judge(key);
  }

  return (authorization, onlyKnown = false) => {
    const credentials = readBearerToken(authorization);
    if (credentials.kind !== "token") {
      return { kind: "refused", response: credentials.kind === "absent" ? missingKey() : invalidKey() };
    }
    const { token } = credentials;
    if (!hasKeyLength(token)) return refused();
    forgetWhenKeysChanged();
    const digest = digests.sha256(token);
    const known = verified.get(digest);
    if (known !== undefined) return judge(known);
    // What was verified once is well-formed: only what is new is looked at closely, still before any store.
    const id = parseKeyId(token);
    if (id === null) return refused();
    if (onlyKnown || clock.now() < (refusedUntil.get(digest) ?? 0)) return refused();
    return lookUp(token, digest, id);
  };
}

function refused(): Authentication {
  return { kind: "refused", response: invalidKey() };
}

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
