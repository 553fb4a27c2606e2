/** What a change makes of a key, or why there is none. */
import { type PlainResponse, problemResponse } from "@letta-environments/schema";
import { disableKey, type KeyPatch, keyState, patchKey, revokeKey, rotateKey } from "../keys/change-key.ts";
import type { KeyRecord, KeySecret } from "../keys/key-record.ts";
import { expiryRule } from "../keys/key-schemas.ts";
import { type AdminAuthority, mayKnowKey } from "./admin-authority.ts";
import { entityTag, matchesEntityTag } from "./entity-tag.ts";
import { grantIssues } from "./grant-issues.ts";
import type { Digests } from "../ports.ts";

/** A key as it is to be stored, or the answer to whoever wanted it. */
export type KeyDecision =
  | { readonly kind: "changed"; readonly record: KeyRecord }
  | { readonly kind: "refused"; readonly response: PlainResponse };

/** Under what a change is made: to the key that `If-Match` names, where there is one. */
export interface ChangeCondition {
  readonly ifMatch: string | null;
  readonly digests: Pick<Digests, "sha256">;
}

/** Judges a key that is to be created. */
export function decideCreate(authority: AdminAuthority, record: KeyRecord, nowMs: number): KeyDecision {
  return expiryRefusal(record.expiresAt, nowMs) ?? withinGrants(authority, record, null);
}

/** Decides on a change of members. One that only takes the key out of use is open to every administering key of the tenant. */
export function decidePatch(
  authority: AdminAuthority,
  record: KeyRecord,
  patch: KeyPatch,
  condition: ChangeCondition,
  nowMs: number,
): KeyDecision {
  const refusal =
    endRefusal(authority, record, nowMs) ??
    expiryRefusal(patch.expiresAt, nowMs) ??
    conditionRefusal(record, condition);
  if (refusal !== null) return refusal;
  const { disabled, ...members } = patch;
  if (disabled === true && Object.keys(members).length === 0) return changed(disableKey(record, nowMs));
  return withinGrants(authority, patchKey(record, patch, nowMs), record);
}

/** Decides on a new secret: whoever learns it can do what the key can. */
export function decideRotate(
  authority: AdminAuthority,
  record: KeyRecord,
  secret: KeySecret,
  overlapMs: number,
  condition: ChangeCondition,
  nowMs: number,
): KeyDecision {
  return (
    endRefusal(authority, record, nowMs) ??
    conditionRefusal(record, condition) ??
    wayOutRefusal(authority, record) ??
    withinGrants(authority, rotateKey(record, secret, nowMs, overlapMs), record)
  );
}

/** Decides on an end, which every administering key of the tenant may set. */
export function decideRevoke(
  authority: AdminAuthority,
  record: KeyRecord,
  condition: ChangeCondition,
  nowMs: number,
): KeyDecision {
  if (!mayKnowKey(authority, record)) return refused(keyNotFound());
  return conditionRefusal(record, condition) ?? changed(revokeKey(record, nowMs));
}

/** 404 for a key that is not there, or is another tenant's: the answers are the same. */
export function keyNotFound(): PlainResponse {
  return problemResponse("key_not_found");
}

function endRefusal(authority: AdminAuthority, record: KeyRecord, nowMs: number): KeyDecision | null {
  if (!mayKnowKey(authority, record)) return refused(keyNotFound());
  const state = keyState(record, nowMs);
  if (state !== "revoked" && state !== "expired") return null;
  const detail = `The gateway key is ${state}; nothing was changed. Create a new one.`;
  return refused(problemResponse("key_revoked", { detail }));
}

function conditionRefusal(record: KeyRecord, { ifMatch, digests }: ChangeCondition): KeyDecision | null {
  if (ifMatch === null || matchesEntityTag(ifMatch, entityTag(record, digests))) return null;
  return refused(problemResponse("precondition_failed"));
}

/** Whoever has a secret that is on its way out must not stay by it, whatever the times say. */
function wayOutRefusal(authority: AdminAuthority, record: KeyRecord): KeyDecision | null {
  if (authority.kind === "operator" || authority.record.id !== record.id) return null;
  // Another rotation may have come in between since the authority was read.
  const isReplaced = record.secrets[0]?.digest !== authority.record.secrets[0]?.digest;
  if (!authority.isOnWayOut && !isReplaced) return null;
  const issue = { member: "authorization", rule: "must hold the present secret of the key to rotate it" };
  return refused(problemResponse("grant_not_allowed", { issues: [issue] }));
}

function expiryRefusal(expiresAt: number | null | undefined, nowMs: number): KeyDecision | null {
  const rule = expiryRule(expiresAt, nowMs);
  return rule === null
    ? null
    : refused(problemResponse("invalid_request", { issues: [{ member: "expiresAt", rule }] }));
}

function withinGrants(authority: AdminAuthority, record: KeyRecord, before: KeyRecord | null): KeyDecision {
  const issues = grantIssues(authority, record, before);
  return issues.length === 0 ? changed(record) : refused(problemResponse("grant_not_allowed", { issues }));
}

function changed(record: KeyRecord): KeyDecision {
  return { kind: "changed", record };
}

function refused(response: PlainResponse): { readonly kind: "refused"; readonly response: PlainResponse } {
  return { kind: "refused", response };
}
