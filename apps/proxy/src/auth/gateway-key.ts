/**
 * Authenticates gateway keys.
 *
 * A key that was verified before is found synchronously in a bounded map, by its `Authorization` header or by the SHA-256 of the key.
 * Any other key is parsed without the store, then looked up and verified. Valid keys stay cached until any key changes
 * (`KeyStore.generation`), refused ones for a few seconds. Expiry is checked on every request. Connections that are already open end
 * elsewhere: sockets in `keys/socket-key-watch.ts`, event streams in `streams/event-streams.ts`.
 */
import { refused, type Scope } from "@letta-environments/schema";
import { hasKeyLength, parseKeyId } from "../keys/key-format.ts";
import {
  approvalPolicyOfKey,
  credentialIdOf,
  credentialOf,
  earliest,
  endOf,
  type KeyRecord,
  type KeySecret,
  unsupportedFeatures,
} from "../keys/key-record.ts";
import { createBoundedMap } from "../lib/bounded-map.ts";
import type { MaybePromise } from "../lib/steps.ts";
import type { Digests, GatewayPorts, HasExpired, Pepper } from "../ports.ts";
import {
  type Authentication,
  type GatewayPrincipal,
  missingKey,
  readBearerToken,
  refuseInvalidKey,
} from "./authentication.ts";

/** Verified keys kept in memory, each of about 500 bytes. `pnpm bench verified-keys` measures both. */
const maxVerifiedKeys = 131_072;
/** Headers whose keys are found without hashing, each of about 200 bytes. */
const maxKnownHeaders = 8_192;
/** Sets of scopes that are shared between keys. */
const maxKnownScopes = 1_000;
/** Refused keys kept in memory, and for how long, in milliseconds. */
const maxRefusedKeys = 10_000;
const refusalMs = 5_000;

/**
 * Authenticates the `Authorization` header. With `cachedOnly` nothing is looked up: only keys that were verified before are
 * accepted, and the result is synchronous.
 */
export type KeyAuthenticator = (authorization: string | null, cachedOnly?: boolean) => MaybePromise<Authentication>;

/** Creates a {@link KeyAuthenticator} with its own cache. */
export function createKeyAuthenticator(
  ports: Pick<GatewayPorts, "clock" | "digests" | "hasExpired" | "keyStore" | "noteKeyUse" | "pepper" | "telemetry">,
): KeyAuthenticator {
  const { clock, digests, hasExpired, keyStore, noteKeyUse, pepper, telemetry } = ports;
  const verified = createBoundedMap<VerifiedKey>(maxVerifiedKeys);
  const byHeader = createBoundedMap<VerifiedKey>(maxKnownHeaders);
  const refusals = createBoundedMap<{ readonly untilMs: number; readonly reason: string }>(maxRefusedKeys);
  let generation = keyStore.generation();

  function forgetWhenKeysChanged(): void {
    const current = keyStore.generation();
    if (current === generation) return;
    generation = current;
    verified.clear();
    byHeader.clear();
    refusals.clear();
  }

  function accept(key: VerifiedKey): Authentication {
    if (key.expiresAt !== null && hasExpired(credentialOf(key.principal), key.expiresAt)) {
      return refuseInvalidKey("key_expired");
    }
    noteKeyUse?.(key.principal.keyId);
    return { kind: "authenticated", principal: key.principal };
  }

  async function lookUp(token: string, digest: string, id: string): Promise<Authentication> {
    const generationBefore = generation;
    const record = await keyStore.find(id);
    const key: KeyVerification =
      record === null ? { kind: "invalid", reason: "key_unknown" } : verifyKey(token, record, pepper, digests);
    if (key.kind === "unsupported") telemetry({ type: "key_unsupported", keyId: id, features: key.features });
    // A record that was read before a change must not be cached after it.
    const isCurrent = generationBefore === keyStore.generation();
    if (key.kind !== "valid") {
      const reason = refusalReason(key, record, hasExpired);
      if (isCurrent) refusals.set(digest, { untilMs: clock.monotonic() + refusalMs, reason });
      return refuseInvalidKey(reason);
    }
    if (isCurrent) verified.set(digest, key);
    return accept(key);
  }

  return (authorization, cachedOnly = false) => {
    forgetWhenKeysChanged();
    const recent = authorization === null ? undefined : byHeader.get(authorization);
    if (recent !== undefined) return accept(recent);
    const credentials = readBearerToken(authorization);
    if (authorization === null || credentials.kind === "absent") return refused(missingKey);
    if (credentials.kind === "other_scheme") {
      return { kind: "refused", response: missingKey, reason: "credentials_malformed" };
    }
    if (credentials.kind !== "token") return refuseInvalidKey("credentials_malformed");
    if (!hasKeyLength(credentials.token)) return refuseInvalidKey("key_malformed");
    const { token } = credentials;
    const digest = digests.sha256(token);
    const known = verified.get(digest);
    if (known !== undefined) {
      byHeader.set(authorization, known);
      return accept(known);
    }
    // Only a key that is not cached is parsed; a malformed one never reaches the store.
    const id = parseKeyId(token);
    if (id === null) return refuseInvalidKey("key_malformed");
    if (cachedOnly) return refuseInvalidKey("not_verified");
    const refusal = refusals.get(digest);
    if (refusal !== undefined && clock.monotonic() < refusal.untilMs) return refuseInvalidKey(refusal.reason);
    return lookUp(token, digest, id);
  };
}

/** A valid key, and when it expires. */
export interface VerifiedKey {
  readonly kind: "valid";
  readonly principal: GatewayPrincipal;
  /** Epoch milliseconds; `null`: it does not expire. */
  readonly expiresAt: number | null;
  /** Whether the presented secret is not the current one of the key: a rotation replaced it, or it belongs to a session. */
  readonly isReplaced: boolean;
}

/** The result of {@link verifyKey}. */
export type KeyVerification =
  | VerifiedKey
  | { readonly kind: "invalid"; readonly reason: string }
  /** The secret matches, but the key requires features that this version cannot enforce. */
  | { readonly kind: "unsupported"; readonly features: readonly string[] };

/** Returns why a key is refused. That it has expired comes before a state that can be undone, as in `keyState`. */
export function refusalReason(
  key: Exclude<KeyVerification, VerifiedKey>,
  record: KeyRecord | null,
  hasExpired: HasExpired,
): string {
  const reason = key.kind === "unsupported" ? "key_unsupported" : key.reason;
  if (record === null || (reason !== "key_unsupported" && reason !== "key_disabled")) return reason;
  return hasExpired(credentialOf({ keyId: record.id }), endOf(record)) ? "key_expired" : reason;
}

/**
 * Verifies a presented key against its record. The HMAC under the pepper is compared in constant time with every secret, so
 * that the duration reveals neither how much of a digest matched nor which secret did. The caller checks the expiry.
 */
export function verifyKey(key: string, record: KeyRecord, pepper: Pepper, digests: Digests): KeyVerification {
  const presented = digests.hmacSha256(pepper.secret, key);
  const secret = record.secrets
    .map((candidate) => ({ candidate, equal: digests.constantTimeEqual(presented, candidate.digest) }))
    .find(({ candidate, equal }) => equal && candidate.pepperId === pepper.id && candidate.use !== "link")?.candidate;
  return secret === undefined ? { kind: "invalid", reason: "key_secret_unknown" } : verifySecret(record, secret);
}

/** Decides whether a key may be used with a matching secret of its record. The caller checks the expiry. */
export function verifySecret(record: KeyRecord, secret: KeySecret): KeyVerification {
  if (record.revokedAt !== null) return { kind: "invalid", reason: "key_revoked" };
  if (record.disabledAt !== null) return { kind: "invalid", reason: "key_disabled" };
  const features = unsupportedFeatures(record);
  if (features.length > 0) return { kind: "unsupported", features };
  const expiresAt = earliest(endOf(record), secret.expiresAt);
  return {
    kind: "valid",
    principal: principalOf(record, secret, expiresAt),
    expiresAt,
    isReplaced: secret !== record.secrets[0] || secret.use === "session",
  };
}

function principalOf(record: KeyRecord, secret: KeySecret, expiresAt: number | null): GatewayPrincipal {
  const approvalPolicy = approvalPolicyOfKey(record);
  return {
    tenant: record.tenant,
    keyId: record.id,
    credentialId: credentialIdOf(secret),
    owner: record.owner,
    scopes: scopesOf(record.scopes),
    deviceIds: record.deviceIds,
    connectionNames: record.connectionNames,
    ...(record.deviceTags !== null && { deviceTags: record.deviceTags }),
    agentIds: record.agentIds,
    maxMode: record.maxMode,
    ...(record.setMode !== null && { setMode: record.setMode }),
    ...(approvalPolicy !== null && { approvalPolicy }),
    shared: record.shared,
    ...(record.invite !== null && { invite: record.invite }),
    ...(record.rateLimits !== null && { rateLimits: record.rateLimits }),
    ...(expiresAt !== null && { keyExpiresAt: expiresAt }),
    ...(secret.use === "session" && { isSession: true }),
  };
}

/** The sets of scopes that keys have. They are few, and large compared to the rest of a verified key, so equal sets are shared. */
const knownScopes = new Map<string, ReadonlySet<Scope>>();

function scopesOf(scopes: readonly Scope[]): ReadonlySet<Scope> {
  const text = scopes.join();
  const set = knownScopes.get(text) ?? new Set(scopes);
  if (knownScopes.size < maxKnownScopes) knownScopes.set(text, set);
  return set;
}
