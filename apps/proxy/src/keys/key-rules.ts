/**
 * The rules for a whole key. `key-schemas.ts` checks the form of each member. HTTP, the command line and programs that contain the gateway apply these
 * rules to new keys and to the results of changes, and only format the issues.
 */
import {
  allowsMode,
  isLimitedOnDevices,
  modeCeiling,
  type ProblemIssue,
  unlimitedScopes,
} from "@letta-environments/schema";
import { type KeyPatch, type KeyState, patchKey } from "./key-lifecycle.ts";
import { maxDurationMs } from "./key-rate-limit.ts";
import { approvalPolicyOfKey, type KeyInvite, type KeyRecord } from "./key-record.ts";

/** The members of a key that the rules check. An absent member restricts nothing, so a request or a patch can also be checked on its own. */
export type RuledKey = Partial<
  Pick<
    KeyRecord,
    "scopes" | "deviceIds" | "deviceTags" | "agentIds" | "maxMode" | "setMode" | "deniedTools" | "shared" | "expiresAt"
  >
> & { readonly invite?: (Pick<KeyInvite, "expiresAt"> & Partial<KeyInvite>) | null };

/** Returns every rule that a key breaks at a time in epoch milliseconds, with the member that breaks it. */
export function keyIssues(key: RuledKey, nowMs: number): readonly ProblemIssue[] {
  return [
    issue("expiresAt", expiryRule(key.expiresAt, nowMs)),
    ...inviteIssues(key, nowMs),
    issue("setMode", setModeRule(key)),
    issue("shared", sharedRule(key)),
    issue("scopes", scopesRule(key)),
    ...lengthIssues(key),
  ].flatMap((found) => found ?? []);
}

/**
 * Returns the rules that a patch of a key breaks. A stored key may break a rule that is newer than the key: it can still be disabled, renamed, or
 * given another owner or an earlier expiry. Any other patch must repair the key, since each rule concerns several members.
 */
export function patchIssues(stored: KeyRecord, patch: KeyPatch, nowMs: number): readonly ProblemIssue[] {
  const issues = keyIssues(patchKey(stored, patch, nowMs), nowMs);
  if (!grantsNoMore(stored, patch)) return issues;
  const known = new Set(keyIssues(stored, nowMs).map(({ member, rule }) => `${member} ${rule}`));
  return issues.filter(({ member, rule }) => Object.hasOwn(patch, member) || !known.has(`${member} ${rule}`));
}

/** Whether the key can do no more than before, and not for longer. */
function grantsNoMore(
  { expiresAt: end }: KeyRecord,
  { disabled = true, expiresAt = end, ...others }: KeyPatch,
): boolean {
  const livesLonger = (expiresAt ?? Infinity) > (end ?? Infinity);
  return disabled && !livesLonger && Object.keys(others).every((member) => member === "name" || member === "owner");
}

/** Why a key in a state can be neither changed nor rotated; `null` if it can. An ended key stays ended. */
export function refuseEnded(state: KeyState): string | null {
  return state === "revoked" || state === "expired"
    ? `The gateway key is ${state}; nothing was changed. Create a new one.`
    : null;
}

/** Whether a patch disables a key and does nothing else. Every key can be disabled, even one that breaks a rule. */
export function onlyDisables({ disabled, ...others }: KeyPatch): boolean {
  return disabled === true && Object.keys(others).length === 0;
}

function issue(member: string, rule: string | null): ProblemIssue | null {
  return rule === null ? null : { member, rule };
}

function expiryRule(expiresAt: number | null | undefined, nowMs: number): string | null {
  if (expiresAt === null || expiresAt === undefined) return null;
  if (expiresAt > nowMs && expiresAt <= nowMs + maxDurationMs) return null;
  return "must be in the future, and at most a hundred years ahead";
}

/** The device of an invitation is not known until it is used, so nothing else may restrict the key to devices by id or tag. */
function inviteIssues(
  { scopes = [], deviceIds = null, deviceTags = null, invite = null }: RuledKey,
  nowMs: number,
): readonly (ProblemIssue | null)[] {
  if (invite === null || (invite.usedAt ?? null) !== null) return [];
  const isRestricted = deviceIds !== null || deviceTags !== null;
  return [
    issue("invite", scopes.join() === "connect" ? null : "needs a key whose only scope is connect"),
    issue("invite", isRestricted ? "needs a key without deviceIds and deviceTags" : null),
    issue("invite.expiresAt", expiryRule(invite.expiresAt, nowMs)),
  ];
}

function setModeRule({ setMode = null, maxMode = null, deniedTools = null }: RuledKey): string | null {
  if (setMode === null) return null;
  if (!allowsMode({ maxMode }, setMode)) return `must not be more permissive than the key's maximum mode, ${maxMode}`;
  const ceiling = modeCeiling({
    maxMode,
    setMode,
    approvalPolicy: approvalPolicyOfKey({ deniedTools, approvalDeadlineMs: null }),
  });
  if (allowsMode({ maxMode: ceiling }, setMode)) return null;
  return `must not be more permissive than ${ceiling} for a key that denies these tools`;
}

function sharedRule({ shared = false, invite = null }: RuledKey): string | null {
  return shared && invite !== null ? "must be false for an invitation, which belongs to one device" : null;
}

/** The most characters of the long lists of a key together, as JSON. */
const maxListsLength = 65_536;

/** All tenants share the store, so a few keys of one of them must not fill it. */
function lengthIssues(key: RuledKey): readonly ProblemIssue[] {
  const lists = (["deviceIds", "deviceTags", "agentIds"] as const).filter((member) => (key[member] ?? null) !== null);
  const length = lists.reduce((sum, member) => sum + JSON.stringify(key[member]).length, 0);
  const rule = `must be shorter: deviceIds, deviceTags and agentIds have at most ${maxListsLength} characters together as JSON`;
  return length > maxListsLength ? lists.map((member) => ({ member, rule })) : [];
}

/** Unlimited scopes would undo the limits of the key. */
function scopesRule({ scopes = [], deniedTools = null, ...limits }: RuledKey): string | null {
  const isLimited = isLimitedOnDevices({
    ...limits,
    approvalPolicy: approvalPolicyOfKey({ deniedTools, approvalDeadlineMs: null }),
  });
  if (!isLimited || !scopes.some((scope) => unlimitedScopes.includes(scope))) return null;
  return `must not contain ${unlimitedScopes.join(", ")} for a key that is limited to agents or modes, or that denies tools`;
}
