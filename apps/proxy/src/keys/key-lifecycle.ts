/**
 * The life of a key: creation, changes, rotation, and the states that end it. Every function is pure: it takes a record and the
 * time, and returns the new record, which a store saves.
 */
import type { Scope } from "@letta-environments/schema";
import { generateKey, generateKeyId } from "./key-format.ts";
import type { Digests, Pepper, RandomBytes } from "../ports.ts";
import { patchRateLimits } from "./key-rate-limit.ts";
import {
  endOf,
  type KeyRecord,
  type KeyRestrictions,
  type KeySecret,
  unrestricted,
  unsupportedFeatures,
  withRequirements,
} from "./key-record.ts";

/** The rights and the description of a new key. An absent member restricts nothing. */
export interface KeyRequest extends Partial<Omit<KeyRestrictions, "invite" | "requires">> {
  readonly name: string;
  /** The key's name when absent. */
  readonly owner?: string | null;
  readonly tenant: string;
  readonly scopes: readonly Scope[];
  /** Makes the key an invitation for one device. */
  readonly invite?: InviteRequest | null;
}

/** The terms of an invitation. */
export interface InviteRequest {
  /** When the key ends if no device has used it, in epoch milliseconds. */
  readonly expiresAt: number;
  /** Tags for the device; absent: none. */
  readonly tags?: readonly string[];
}

/** Changes of a key. An absent member is not changed, and `null` removes it (RFC 7396). */
export interface KeyPatch extends Partial<Omit<KeyRestrictions, "invite" | "requires" | "rateLimits">> {
  readonly name?: string;
  /** `null` means the key's name. */
  readonly owner?: string | null;
  readonly scopes?: readonly Scope[];
  readonly rateLimits?: Readonly<Record<string, string | null>> | null;
  readonly disabled?: boolean;
}

/** Hashing and randomness for new secrets. */
export interface KeyMint {
  readonly digests: Pick<Digests, "hmacSha256">;
  readonly pepper: Pepper;
  readonly randomBytes: RandomBytes;
}

/** A key in clear, to be shown once, and the record to be stored. */
export interface MintedKey {
  readonly key: string;
  readonly record: KeyRecord;
}

/** Creates a key. */
export function createKey(request: KeyRequest, nowMs: number, mint: KeyMint): MintedKey {
  const id = generateKeyId(mint.randomBytes);
  const { key, secret } = mintSecret(id, nowMs, mint);
  const record: KeyRecord = {
    ...unrestricted,
    ...request,
    invite: request.invite ? { tags: [], ...request.invite, usedAt: null, connectionNames: null } : null,
    id,
    owner: request.owner ?? request.name,
    createdAt: nowMs,
    revokedAt: null,
    disabledAt: null,
    secrets: [secret],
  };
  return { key, record: withRequirements(record) };
}

/** Creates a secret for the key with a public id. */
export function mintSecret(
  id: string,
  nowMs: number,
  mint: KeyMint,
): { readonly key: string; readonly secret: KeySecret } {
  const key = generateKey(id, mint.randomBytes);
  const digest = mint.digests.hmacSha256(mint.pepper.secret, key);
  return { key, secret: { digest, pepperId: mint.pepper.id, createdAt: nowMs, expiresAt: null } };
}

/** Changes the rights and the description of a key. Its secrets and its tenant stay. */
export function patchKey(record: KeyRecord, patch: KeyPatch, nowMs: number): KeyRecord {
  const { disabled, owner, rateLimits, ...members } = patch;
  const limited =
    rateLimits === undefined ? record : { ...record, rateLimits: patchRateLimits(record.rateLimits, rateLimits) };
  const patched = withRequirements({ ...limited, ...members });
  const owned = owner === undefined ? patched : { ...patched, owner: owner ?? patched.name };
  if (disabled === undefined) return owned;
  return disabled ? disableKey(owned, nowMs) : enableKey(owned);
}

/**
 * Replaces the current secret with a new one. The old secret stays valid for `overlapMs`, so that clients can switch one by one. At most
 * two secrets are valid: the old secret of an earlier rotation ends now, and so do sign-in links and sessions. `socket-key-watch.ts`
 * closes the sockets that an ended secret opened.
 */
export function rotateKey(record: KeyRecord, secret: KeySecret, nowMs: number, overlapMs: number): KeyRecord {
  const present = record.secrets.find(({ use }) => use === undefined);
  if (present === undefined || overlapMs === 0) return withRequirements({ ...record, secrets: [secret] });
  return withRequirements({ ...record, secrets: [secret, { ...present, expiresAt: nowMs + overlapMs }] });
}

/**
 * Disables a key until it is enabled again. A key that is already disabled keeps its first date. Sign-in links and sessions end for good, so the
 * key of a sign-in link has no secret left.
 */
export function disableKey(record: KeyRecord, nowMs: number): KeyRecord {
  return record.disabledAt === null ? { ...withoutSessions(record), disabledAt: nowMs } : record;
}

/**
 * Enables a disabled key. Expiry and revocation still apply. Also ends sessions that are left of a key that an earlier version disabled. A key
 * without secrets stays disabled, and has expired.
 */
export function enableKey(record: KeyRecord): KeyRecord {
  if (record.disabledAt === null) return record;
  const left = withoutSessions(record);
  return left.secrets.length === 0 ? left : { ...left, disabledAt: null };
}

function withoutSessions(record: KeyRecord): KeyRecord {
  return withRequirements({ ...record, secrets: record.secrets.filter(({ use }) => use === undefined) });
}

/** Revokes a key, which is permanent. A key that is already revoked keeps its first date. */
export function revokeKey(record: KeyRecord, nowMs: number): KeyRecord {
  return record.revokedAt === null ? { ...record, revokedAt: nowMs } : record;
}

/** Whether a key can be used. `unsupported`: it requires a feature that this version does not support. */
export type KeyState = "active" | "disabled" | "expired" | "revoked" | "unsupported";

/** Returns the {@link KeyState} of a key. A permanent state takes precedence over one that can be undone. */
export function keyState(record: KeyRecord, nowMs: number): KeyState {
  if (record.revokedAt !== null) return "revoked";
  const endsAt = endOf(record);
  if (endsAt !== null && nowMs >= endsAt) return "expired";
  // The key of a sign-in link has only secrets that expire, and none once it was disabled. A damaged record has none, either, but has not ended.
  const isSpent = record.secrets.every(({ expiresAt }) => expiresAt !== null && nowMs >= expiresAt);
  if (isSpent && (record.secrets.length > 0 || record.disabledAt !== null)) return "expired";
  if (record.disabledAt !== null) return "disabled";
  return unsupportedFeatures(record).length === 0 ? "active" : "unsupported";
}
