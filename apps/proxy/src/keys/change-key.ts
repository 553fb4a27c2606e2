import type { KeyRecord, KeySecret } from "./key-record.ts";

/** Ends a key for good. A key that is revoked already keeps its first date. */
export function revokeKey(record: KeyRecord, nowMs: number): KeyRecord {
  return record.revokedAt === null ? { ...record, revokedAt: nowMs } : record;
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

/** What a key is good for at a moment. */
export function keyState(
  record: Pick<KeyRecord, "revokedAt" | "expiresAt">,
  nowMs: number,
): "active" | "expired" | "revoked" {
  if (record.revokedAt !== null) return "revoked";
  return record.expiresAt !== null && nowMs >= record.expiresAt ? "expired" : "active";
}
