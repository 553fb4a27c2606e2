/**
 * The rules for changes of keys: whether an authority may make a change, and the record that results. Each decision runs inside
 * the store's atomic step, on the record that it replaces.
 *
 * An administering key can grant any scope to other keys, but each of its own restrictions binds every key that it creates or
 * changes: devices, agents, the ceiling on the mode, the mode that it sets, its approval policy, its rate limits, and its expiry. It never
 * adds to itself.
 */
import {
  allowsMode,
  type DeviceAllowlist,
  matchesNamePattern,
  type PlainResponse,
  problemResponse,
  type ProblemIssue,
} from "@letta-environments/schema";
import {
  disableKey,
  type KeyPatch,
  keyState,
  patchKey,
  revokeKey,
  rotateKey,
  scopesRule,
  setModeRule,
  sharedRule,
} from "../keys/key-lifecycle.ts";
import { isWithinRateLimits, restrictingRateLimits } from "../keys/key-rate-limit.ts";
import type { KeyRecord, KeySecret } from "../keys/key-record.ts";
import { expiryRule, inviteRule } from "../keys/key-schemas.ts";
import { showKey } from "../keys/key-view.ts";
import type { Digests } from "../ports.ts";
import type { RateLimitPolicy } from "../rate-limit/policy.ts";
import { type AdminAuthority, mayKnowKey } from "./admission.ts";

/** The record to be stored, or the response that refuses the change. */
export type KeyDecision =
  | { readonly kind: "changed"; readonly record: KeyRecord }
  | { readonly kind: "refused"; readonly response: PlainResponse };

/** The condition of a change: the key must have an entity tag of `If-Match`, where the request has that header. */
export interface ChangeCondition {
  readonly ifMatch: string | null;
  readonly digests: Pick<Digests, "sha256">;
}

/** The circumstances of a change. */
export interface ChangeContext {
  /** Epoch milliseconds. */
  readonly nowMs: number;
  /** The rate-limit policies that a key may override; empty where limits are off, and any name is accepted. */
  readonly policies: readonly RateLimitPolicy[];
}

/** Refuses overrides of unknown policies, which would have no effect. `null` as a value removes an override, whatever its name. */
export function policyRefusal(
  overrides: Readonly<Record<string, string | null>> | null | undefined,
  policies: readonly RateLimitPolicy[],
): PlainResponse | null {
  const named = Object.entries(overrides ?? {}).filter(([, value]) => value !== null);
  const names = policies.map(({ name }) => name);
  if (names.length === 0 || named.every(([name]) => names.includes(name))) return null;
  const rule = `must only name policies of this gateway: ${names.join(", ")}`;
  return problemResponse("invalid_request", { issues: [{ member: "rateLimits", rule }] });
}

/** Decides whether a key may be created. A key that an administering key creates has the rate limits that restrict that key. */
export function decideCreate(authority: AdminAuthority, requested: KeyRecord, context: ChangeContext): KeyDecision {
  const { nowMs, policies } = context;
  const inherited = authority.kind === "operator" ? null : restrictingRateLimits(authority.record.rateLimits, policies);
  const record = { ...requested, rateLimits: requested.rateLimits ?? inherited };
  return (
    expiryRefusal(record.expiresAt, nowMs) ??
    inviteRefusal(record, nowMs) ??
    membersRefusal(record) ??
    withinGrants(authority, record, { rateLimits: inherited }, context)
  );
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
  const refusal =
    endRefusal(authority, record, nowMs) ??
    expiryRefusal(patch.expiresAt, nowMs) ??
    conditionRefusal(record, condition);
  if (refusal !== null) return refusal;
  const { disabled, ...members } = patch;
  if (disabled === true && Object.keys(members).length === 0) return changed(disableKey(record, nowMs));
  const patched = patchKey(record, patch, nowMs);
  return membersRefusal(patched) ?? withinGrants(authority, patched, record, context);
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
  const { nowMs } = context;
  return (
    endRefusal(authority, record, nowMs) ??
    conditionRefusal(record, condition) ??
    replacedSecretRefusal(authority, record) ??
    withinGrants(authority, rotateKey(record, secret, nowMs, overlapMs), record, context)
  );
}

/** Decides on a revocation, which every administering key of the tenant may make. */
export function decideRevoke(
  authority: AdminAuthority,
  record: KeyRecord,
  condition: ChangeCondition,
  nowMs: number,
): KeyDecision {
  if (!mayKnowKey(authority, record)) return refused(keyNotFound());
  return conditionRefusal(record, condition) ?? changed(revokeKey(record, nowMs));
}

/** Returns the 404 for a key that does not exist or belongs to another tenant. Both get the same response. */
export function keyNotFound(): PlainResponse {
  return problemResponse("key_not_found");
}

/** The members of a key that give rights to its holder. */
export type KeyGrants = Pick<
  KeyRecord,
  | "id"
  | "tenant"
  | "scopes"
  | "deviceIds"
  | "connectionNames"
  | "deviceTags"
  | "agentIds"
  | "maxMode"
  | "setMode"
  | "deniedTools"
  | "approvalDeadlineMs"
  | "expiresAt"
  | "rateLimits"
>;

/**
 * Returns the members of a key that exceed the rights of an authority which creates the key, changes it into this, or learns its
 * secret. `before` is the key before the change, and `policies` are the rate limits of a key without overrides.
 */
export function grantIssues(
  authority: AdminAuthority,
  grants: KeyGrants,
  before: Pick<KeyRecord, "rateLimits"> | null = null,
  policies: ChangeContext["policies"] = [],
): readonly ProblemIssue[] {
  if (authority.kind === "operator") return [];
  const { record, endsAt } = authority;
  const issues: ProblemIssue[] = [];
  const exceeds = (member: keyof KeyGrants, rule: string): void => void issues.push({ member, rule });

  if (grants.tenant !== record.tenant) exceeds("tenant", "must be that of the administering key");
  if (grants.id === record.id && grants.scopes.some((scope) => !record.scopes.includes(scope))) {
    exceeds("scopes", "must not add to the administering key itself");
  }
  const devices = exceedingDevices(record, grants);
  if (devices !== null) exceeds(devices, "must allow no device beyond those of the administering key");
  if (!isWithin(record.deviceTags, grants.deviceTags)) {
    exceeds("deviceTags", "must allow no tag beyond those of the administering key");
  }
  if (!isWithin(record.agentIds, grants.agentIds)) {
    exceeds("agentIds", "must allow no agent beyond those of the administering key");
  }
  if (!allowsMode(record, grants.maxMode ?? undefined)) {
    exceeds("maxMode", "must be no freer than that of the administering key");
  }
  issues.push(...policyIssues(record, grants));
  if (endsAt !== null && (grants.expiresAt === null || grants.expiresAt > endsAt)) {
    exceeds("expiresAt", "must be no later than the end of the administering key");
  }
  // A limited key must not lift limits: neither its own, nor through another key that it creates or whose secret it learns.
  if (JSON.stringify(grants.rateLimits) !== JSON.stringify(before?.rateLimits ?? null)) {
    exceeds("rateLimits", "can be set by the command line and the administration listener alone");
  } else if (!isWithinRateLimits(grants.rateLimits, record.rateLimits, policies)) {
    exceeds("rateLimits", "must allow no more than those of the administering key");
  }
  return issues;
}

/** The approval policy and the mode that an administering key sets bind the keys that it grants too; else it could lift them. */
function policyIssues(own: KeyGrants, granted: KeyGrants): readonly ProblemIssue[] {
  const issues: ProblemIssue[] = [];
  if (own.setMode !== null && granted.setMode !== own.setMode) {
    issues.push({ member: "setMode", rule: "must be that of the administering key" });
  }
  if (!isWithin(granted.deniedTools ?? [], own.deniedTools ?? [])) {
    issues.push({ member: "deniedTools", rule: "must contain every tool that the administering key denies" });
  }
  const deadline = own.approvalDeadlineMs;
  if (deadline !== null && (granted.approvalDeadlineMs === null || granted.approvalDeadlineMs > deadline)) {
    issues.push({ member: "approvalDeadlineMs", rule: "must be no longer than that of the administering key" });
  }
  return issues;
}

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

function conditionRefusal(record: KeyRecord, { ifMatch, digests }: ChangeCondition): KeyDecision | null {
  if (ifMatch === null || matchesEntityTag(ifMatch, entityTag(record, digests))) return null;
  return refused(problemResponse("precondition_failed"));
}

/** Refuses a change of an unknown key, and of one that has ended for good. */
function endRefusal(authority: AdminAuthority, record: KeyRecord, nowMs: number): KeyDecision | null {
  if (!mayKnowKey(authority, record)) return refused(keyNotFound());
  const state = keyState(record, nowMs);
  if (state !== "revoked" && state !== "expired") return null;
  const detail = `The gateway key is ${state}; nothing was changed. Create a new one.`;
  return refused(problemResponse("key_revoked", { detail }));
}

/** Refuses the rotation of a key by its own old secret: its holder could stay for ever. */
function replacedSecretRefusal(authority: AdminAuthority, record: KeyRecord): KeyDecision | null {
  if (authority.kind === "operator" || authority.record.id !== record.id) return null;
  // The key may have been rotated again since the authority was read.
  const wasRotatedSince = record.secrets[0]?.digest !== authority.record.secrets[0]?.digest;
  if (!authority.isReplaced && !wasRotatedSince) return null;
  const issue = { member: "authorization", rule: "must hold the present secret of the key to rotate it" };
  return refused(problemResponse("grant_not_allowed", { issues: [issue] }));
}

function expiryRefusal(expiresAt: number | null | undefined, nowMs: number): KeyDecision | null {
  const rule = expiryRule(expiresAt, nowMs);
  return rule === null
    ? null
    : refused(problemResponse("invalid_request", { issues: [{ member: "expiresAt", rule }] }));
}

function inviteRefusal(record: KeyRecord, nowMs: number): KeyDecision | null {
  const rule = inviteRule(record, nowMs);
  return rule === null ? null : refused(problemResponse("invalid_request", { issues: [{ member: "invite", rule }] }));
}

function membersRefusal(record: KeyRecord): KeyDecision | null {
  const rules = [
    { member: "setMode", rule: setModeRule(record) },
    { member: "shared", rule: sharedRule(record) },
    { member: "scopes", rule: scopesRule(record) },
  ];
  const issues = rules.flatMap(({ member, rule }) => (rule === null ? [] : [{ member, rule }]));
  return issues.length === 0 ? null : refused(problemResponse("invalid_request", { issues }));
}

function withinGrants(
  authority: AdminAuthority,
  record: KeyRecord,
  before: Pick<KeyRecord, "rateLimits">,
  { policies }: ChangeContext,
): KeyDecision {
  const issues = grantIssues(authority, record, before, policies);
  return issues.length === 0 ? changed(record) : refused(problemResponse("grant_not_allowed", { issues }));
}

/** Returns the member through which a key would reach a device that the administering key does not, or `null`. */
function exceedingDevices(own: DeviceAllowlist, granted: DeviceAllowlist): "deviceIds" | "connectionNames" | null {
  if (own.deviceIds === null && own.connectionNames === null) return null;
  if (granted.deviceIds === null && granted.connectionNames === null) {
    return own.deviceIds === null ? "connectionNames" : "deviceIds";
  }
  if (!isWithin(own.deviceIds ?? [], granted.deviceIds ?? [])) return "deviceIds";
  const patterns = own.connectionNames ?? [];
  // A granted pattern is matched like a name. Only a `*` matches its `*`, since no other character of a pattern does, so an own
  // pattern that matches the granted one also matches every name that the granted one matches.
  return (granted.connectionNames ?? []).every((wanted) =>
    patterns.some((pattern) => matchesNamePattern(pattern, wanted)),
  )
    ? null
    : "connectionNames";
}

function isWithin(own: readonly string[] | null, granted: readonly string[] | null): boolean {
  return own === null || (granted !== null && granted.every((value) => own.includes(value)));
}

function changed(record: KeyRecord): KeyDecision {
  return { kind: "changed", record };
}

function refused(response: PlainResponse): { readonly kind: "refused"; readonly response: PlainResponse } {
  return { kind: "refused", response };
}
