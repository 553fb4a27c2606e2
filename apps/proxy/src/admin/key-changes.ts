/**
 * The rules for changes of keys: whether an authority may make a change, and the record that results. Each decision runs inside
 * the store's atomic step, on the record that it replaces.
 */
import {
  type PlainResponse,
  type ProblemIssue,
  problemResponse,
  refused,
  type Refused,
} from "@letta-environments/schema";
import { type KeyPatch, keyState, patchKey, revokeKey, rotateKey } from "../keys/key-lifecycle.ts";
import { listsTag, notModified, type Preconditions } from "../http/conditions.ts";
import { hasAtMostRateLimits, restrictingRateLimits } from "../keys/key-rate-limit.ts";
import type { KeyRecord, KeySecret } from "../keys/key-record.ts";
import { keyIssues, onlyDisables, patchIssues, refuseEnded } from "../keys/key-rules.ts";
import { showKey } from "../keys/key-view.ts";
import type { Digests } from "../ports.ts";
import { type AdminAuthority, mayKnowKey } from "./admission.ts";
import { grantIssues, type GrantRules } from "./grants.ts";

/** The record to be stored, or the response that refuses the change. */
export type KeyDecision = { readonly kind: "changed"; readonly record: KeyRecord } | Refused;

/** The condition of a change: the key must have an entity tag of `If-Match`, and none of `If-None-Match`, where the request has those fields. */
export interface ChangeCondition extends Preconditions {
  readonly digests: Pick<Digests, "sha256">;
}

/** The circumstances of a change. */
export interface ChangeContext extends GrantRules {
  /** Epoch milliseconds. */
  readonly nowMs: number;
}

/** Refuses overrides of other policies than these, which would have no effect. A value of `null` removes an override, whatever its name. */
export function policyRefusal(
  overrides: Readonly<Record<string, string | null>> | null | undefined,
  names: readonly string[] | null,
): PlainResponse | null {
  const named = Object.entries(overrides ?? {}).filter(([, value]) => value !== null);
  if (names === null || named.every(([name]) => names.includes(name))) return null;
  const rule = `must only name policies that a key can override: ${names.join(", ")}`;
  return problemResponse("invalid_request", { issues: [{ member: "rateLimits", rule }] });
}

/** Decides whether a key may be created. A key that an administering key creates has the rate limits that restrict that key. */
export function decideCreate(authority: AdminAuthority, requested: KeyRecord, context: ChangeContext): KeyDecision {
  const { nowMs, policies } = context;
  const inherited = authority.kind === "operator" ? null : restrictingRateLimits(authority.record.rateLimits, policies);
  const record = { ...requested, rateLimits: requested.rateLimits ?? inherited };
  return ruleRefusal(keyIssues(record, nowMs)) ?? withinGrants(authority, record, { rateLimits: inherited }, context);
}

/** Decides on a patch. Every administering key of the tenant may disable a key. */
export function decidePatch(
  authority: AdminAuthority,
  record: KeyRecord,
  patch: KeyPatch,
  condition: ChangeCondition,
  context: ChangeContext,
): KeyDecision {
  const { nowMs } = context;
  const refusal = endRefusal(authority, record, nowMs) ?? conditionRefusal(record, condition);
  if (refusal !== null) return refusal;
  const patched = patchKey(record, patch, nowMs);
  if (onlyDisables(patch)) return changed(patched);
  return ruleRefusal(patchIssues(record, patch, nowMs)) ?? withinGrants(authority, patched, record, context);
}

/** Decides on a rotation. The response shows the new secret, so the key must be within the authority's own rights. */
export function decideRotate(
  authority: AdminAuthority,
  record: KeyRecord,
  secret: KeySecret,
  overlapMs: number,
  condition: ChangeCondition,
  context: ChangeContext,
): KeyDecision {
  return (
    endRefusal(authority, record, context.nowMs) ??
    conditionRefusal(record, condition) ??
    replacedSecretRefusal(authority, record) ??
    limitRefusal(authority, record, context) ??
    withinGrants(authority, rotateKey(record, secret, context.nowMs, overlapMs), record, context)
  );
}

/** Decides on a revocation, which every administering key of the tenant may make. */
export function decideRevoke(
  authority: AdminAuthority,
  record: KeyRecord,
  condition: ChangeCondition,
  nowMs: number,
): KeyDecision {
  if (!mayKnowKey(authority, record)) return refused(keyNotFound);
  return conditionRefusal(record, condition) ?? changed(revokeKey(record, nowMs));
}

/** The 404 for a key that does not exist or belongs to another tenant. Both get the same response. */
export const keyNotFound: PlainResponse = problemResponse("key_not_found");

/**
 * Returns the entity tag of a key (RFC 9110 section 8.8.3). It changes with every change of the key. Uses and the passing of time
 * do not change it, so that a key can be changed while it is in use.
 */
export function entityTag(record: KeyRecord, { sha256 }: Pick<Digests, "sha256">): string {
  const { state: _state, lastUsedAt: _lastUsedAt, ...stored } = showKey(record, 0, null);
  return `"${sha256(JSON.stringify(stored)).slice(0, 32)}"`;
}

/** Whether `If-Match` holds (RFC 9110 section 13.1.1) for a key that exists. Weak tags never match. */
function matchesEntityTag(ifMatch: string, tag: string): boolean {
  if (ifMatch.trim() === "*") return true;
  return [...ifMatch.matchAll(/(W\/)?("[^"]*")/g)].some(([, weak, listed]) => weak === undefined && listed === tag);
}

function conditionRefusal(record: KeyRecord, { ifMatch, ifNoneMatch, digests }: ChangeCondition): KeyDecision | null {
  const tag = entityTag(record, digests);
  if (ifMatch !== null && !matchesEntityTag(ifMatch, tag)) return refused(otherVersion);
  return ifNoneMatch !== null && listsTag(ifNoneMatch, tag) ? refused(sameVersion) : null;
}

const otherVersion = problemResponse("precondition_failed");
const sameVersion = problemResponse("precondition_failed", {
  detail: "If-None-Match has the entity tag of the key, or is *, so nothing was changed.",
  issues: [{ member: "if-none-match", rule: "must not match the key" }],
});

/** Applies the preconditions of a read of a key to its response. An error response ignores them (RFC 9110 section 13.2.1). */
export function respondUnder({ ifMatch, ifNoneMatch }: Preconditions, response: PlainResponse): PlainResponse {
  const { etag } = response.headers;
  if (ifMatch !== null && etag !== undefined && !matchesEntityTag(ifMatch, etag)) return otherVersion;
  return notModified(response, ifNoneMatch);
}

/** Refuses a change of an unknown key, and of one that has ended for good. */
function endRefusal(authority: AdminAuthority, record: KeyRecord, nowMs: number): KeyDecision | null {
  if (!mayKnowKey(authority, record)) return refused(keyNotFound);
  const detail = refuseEnded(keyState(record, nowMs));
  return detail === null ? null : refused(problemResponse("key_revoked", { detail }));
}

/** Refuses the rotation of a key by its own old secret: its holder could keep access for ever. */
function replacedSecretRefusal(authority: AdminAuthority, record: KeyRecord): KeyDecision | null {
  if (authority.kind === "operator" || authority.record.id !== record.id) return null;
  // The key may have been rotated again since the authority was read.
  const wasRotatedSince = record.secrets[0]?.digest !== authority.record.secrets[0]?.digest;
  if (!authority.isReplaced && !wasRotatedSince) return null;
  return grantRefusal({ member: "authorization", rule: "must have the current secret of the key to rotate it" });
}

/** Refuses to show the secret of a key with larger rate limits: its holder would lift its own. Other changes of such a key give no access to it. */
function limitRefusal(
  authority: AdminAuthority,
  { rateLimits }: KeyRecord,
  { policies }: GrantRules,
): KeyDecision | null {
  if (authority.kind === "operator" || hasAtMostRateLimits(rateLimits, authority.record.rateLimits, policies))
    return null;
  return grantRefusal({ member: "rateLimits", rule: "must allow no more than those of the administering key" });
}

function ruleRefusal(issues: readonly ProblemIssue[]): KeyDecision | null {
  return issues.length === 0 ? null : refused(problemResponse("invalid_request", { issues }));
}

function withinGrants(
  authority: AdminAuthority,
  record: KeyRecord,
  before: Pick<KeyRecord, "rateLimits">,
  context: ChangeContext,
): KeyDecision {
  const issues = grantIssues(authority, record, before, context);
  return issues.length === 0 ? changed(record) : grantRefusal(...issues);
}

function grantRefusal(...issues: readonly ProblemIssue[]): KeyDecision {
  return refused(problemResponse("grant_not_allowed", { issues }));
}

function changed(record: KeyRecord): KeyDecision {
  return { kind: "changed", record };
}
