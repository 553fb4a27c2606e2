/** The public view of a key, for lists and for the administration. */
import { type KeyState, keyState } from "./key-lifecycle.ts";
import type { KeyRecord, KeySecret } from "./key-record.ts";

/** The public form of a key: without digests and the names of their peppers. Times are epoch milliseconds. */
export interface ShownKey extends Omit<KeyRecord, "secrets"> {
  readonly state: KeyState;
  /** Up to 30 seconds late; `null` when the key was never used. */
  readonly lastUsedAt: number | null;
  /** The newest first; two during the overlap of a rotation. */
  readonly secrets: readonly Pick<KeySecret, "createdAt" | "expiresAt">[];
}

/** Returns the view of a key. It copies members one by one, so that members added to records later are not shown by mistake. */
export function showKey(record: KeyRecord, nowMs: number, lastUsedAt: number | null): ShownKey {
  return {
    id: record.id,
    name: record.name,
    description: record.description,
    owner: record.owner,
    tenant: record.tenant,
    scopes: record.scopes,
    deviceIds: record.deviceIds,
    connectionNames: record.connectionNames,
    deviceTags: record.deviceTags,
    agentIds: record.agentIds,
    maxMode: record.maxMode,
    setMode: record.setMode,
    deniedTools: record.deniedTools,
    approvalDeadlineMs: record.approvalDeadlineMs,
    shared: record.shared,
    invite: record.invite && {
      expiresAt: record.invite.expiresAt,
      tags: record.invite.tags,
      usedAt: record.invite.usedAt,
      connectionNames: record.invite.connectionNames,
    },
    rateLimits: record.rateLimits,
    requires: record.requires,
    createdAt: record.createdAt,
    expiresAt: record.expiresAt,
    revokedAt: record.revokedAt,
    disabledAt: record.disabledAt,
    state: keyState(record, nowMs),
    lastUsedAt,
    // Secrets of sessions and sign-in links are not the key's own.
    secrets: record.secrets
      .filter(({ use }) => use === undefined)
      .map(({ createdAt, expiresAt }) => ({ createdAt, expiresAt })),
  };
}
