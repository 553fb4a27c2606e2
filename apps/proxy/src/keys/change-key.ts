import type { EnvironmentMode, Scope } from "@letta-environments/schema";
import { patchRateLimits } from "./key-rate-limit.ts";
import { type KeyRecord, type KeySecret, unsupportedFeatures } from "./key-record.ts";

/** Ends a key for good. A key that is revoked already keeps its first date. */
export function revokeKey(record: KeyRecord, nowMs: number): KeyRecord {
  return record.revokedAt === null ? { ...record, revokedAt: nowMs } : record;
}

/** Takes a key out of use until it is enabled again. A key that is disabled already keeps its first date. */
export function disableKey(record: KeyRecord, nowMs: number): KeyRecord {
  return record.disabledAt === null ? { ...record, disabledAt: nowMs } : record;
}

/** Puts a disabled key back into use; an end by expiry or revocation stays. */
export function enableKey(record: KeyRecord): KeyRecord {
  return { ...record, disabledAt: null };
}

/** What of a key may be changed; an absent member stays as it is, and `null` takes it away (RFC 7396). */
export interface KeyPatch {
  readonly name?: string;
  readonly description?: string | null;
  /** `null`: the key's name. */
  readonly owner?: string | null;
  readonly scopes?: readonly Scope[];
  readonly deviceIds?: readonly string[] | null;
  readonly connectionNames?: readonly string[] | null;
  readonly agentIds?: readonly string[] | null;
  readonly maxMode?: EnvironmentMode | null;
  /** Epoch milliseconds. */
  readonly expiresAt?: number | null;
  readonly rateLimits?: Readonly<Record<string, string | null>> | null;
  readonly disabled?: boolean;
}

/** Changes what a key may do and how it is described; its secrets and its tenant stay. */
export function patchKey(record: KeyRecord, patch: KeyPatch, nowMs: number): KeyRecord {
  const { disabled, owner, rateLimits, ...members } = patch;
  const limited =
    rateLimits === undefined ? record : { ...record, rateLimits: patchRateLimits(record.rateLimits, rateLimits) };
  const patched = { ...limited, ...members };
  const owned = owner === undefined ? patched : { ...patched, owner: owner ?? patched.name };
  if (disabled === undefined) return owned;
  return disabled ? disableKey(owned, nowMs) : enableKey(owned);
}

/**
 * Puts a new secret in the place of the present one, which stays good for `overlapMs` more so that clients can be changed one
 * by one. Never more than two secrets are good: one that was still on its way out ends now.
 */
export function rotateKey(record: KeyRecord, secret: KeySecret, nowMs: number, overlapMs: number): KeyRecord {
  const [present] = record.secrets;
  if (present === undefined || overlapMs === 0) return { ...record, secrets: [secret] };
  const endsAt = Math.min(present.expiresAt ?? Infinity, nowMs + overlapMs);
  return { ...record, secrets: [secret, { ...present, expiresAt: endsAt }] };
}

/** Whether a key can be used. `unsupported`: it requires a feature that this version does not support. */
export type KeyState = "active" | "disabled" | "expired" | "revoked" | "unsupported";

/** The members that decide the {@link KeyState} of a key; a gateway of an older version shows no `requires`. */
export type KeyStateMembers = Pick<KeyRecord, "revokedAt" | "expiresAt" | "disabledAt"> &
  Partial<Pick<KeyRecord, "requires">>;

/** The {@link KeyState} of a key. An end for good takes precedence over what can be undone. */
export function keyState(record: KeyStateMembers, nowMs: number): KeyState {
  if (record.revokedAt !== null) return "revoked";
  if (record.expiresAt !== null && nowMs >= record.expiresAt) return "expired";
  if (record.disabledAt !== null) return "disabled";
  return unsupportedFeatures({ requires: record.requires ?? [] }).length === 0 ? "active" : "unsupported";
}
