/**
 * The rights that an administering key may grant. It can grant any scope to other keys, but each of its own restrictions binds every key that it
 * creates or changes: devices, agents, the ceiling on the mode, the mode that it sets, its approval policy, its rate limits, and its expiry.
 * It can never widen its own rights.
 *
 * The configuration can lift restrictions (shadow mode) and add policies for approvals. So keys are compared twice: as stored, because that
 * lasts, and as configured, because those are the holder's rights now.
 */
import {
  allowsMode,
  type DeviceAllowlist,
  isSameMode,
  matchesNamePattern,
  modeCeiling,
  type Principal,
  type ProblemIssue,
} from "@letta-environments/schema";
import { isWithinRateLimits, type KeyPolicy } from "../keys/key-rate-limit.ts";
import { approvalPolicyOfKey, type KeyRecord } from "../keys/key-record.ts";
import type { ConfigurePermissions } from "../keys/socket-permissions.ts";
import type { AdminAuthority } from "./admission.ts";

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

/** The settings of a gateway that change what keys may do. */
export interface GrantRules {
  /** The rate-limit policies; empty where limits are off. */
  readonly policies: readonly KeyPolicy[];
  readonly configure: ConfigurePermissions;
}

/**
 * Returns the members of a key that exceed the rights of an authority that creates the key, changes it to this, or learns its
 * secret. `before` is the key before the change.
 */
export function grantIssues(
  authority: AdminAuthority,
  grants: KeyGrants,
  before: Pick<KeyRecord, "rateLimits"> | null,
  { policies, configure }: GrantRules,
): readonly ProblemIssue[] {
  if (authority.kind === "operator") return [];
  const { record, endsAt } = authority;
  const issues: ProblemIssue[] = [];
  const exceeds = (member: keyof KeyGrants, rule: string): void => void issues.push({ member, rule });

  if (grants.tenant !== record.tenant) exceeds("tenant", "must be that of the administering key");
  if (grants.id === record.id && grants.scopes.some((scope) => !record.scopes.includes(scope))) {
    exceeds("scopes", "must not add scopes to the administering key itself");
  }
  issues.push(...restrictionIssues(record, grants));
  const known = new Set(issues.map(({ member }) => member));
  const configured = restrictionIssues(configuredGrants(record, configure), configuredGrants(grants, configure));
  for (const { member, rule } of configured) {
    if (!known.has(member))
      issues.push({ member, rule: `${rule}, with \`shadow\` and \`approvals\` of the gateway applied` });
  }
  if ((grants.expiresAt ?? Infinity) > (endsAt ?? Infinity)) {
    exceeds("expiresAt", "must be no later than the end of the administering key");
  }
  // A limited key must not lift limits: neither its own, nor through another key that it creates or whose secret it learns.
  if (JSON.stringify(grants.rateLimits) !== JSON.stringify(before?.rateLimits ?? null)) {
    exceeds("rateLimits", "can be set only by the command line and the administration listener");
  } else if (!isWithinRateLimits(grants.rateLimits, record.rateLimits, policies)) {
    exceeds("rateLimits", "must allow no more than those of the administering key");
  }
  return issues;
}

/** The rights of a key, and the ceiling on the modes that its holder chooses where the configuration has lifted that. */
type ConfiguredGrants = KeyGrants & Pick<Principal, "modeCeiling">;

function configuredGrants(grants: KeyGrants, configure: ConfigurePermissions): ConfiguredGrants {
  const { id: keyId, tenant, deviceIds, connectionNames, deviceTags, agentIds, maxMode } = grants;
  const own = { keyId, tenant, deviceIds, connectionNames, deviceTags, agentIds, maxMode };
  const { approvalPolicy, ...configured } = configure({ ...own, approvalPolicy: approvalPolicyOfKey(grants) });
  const policy = {
    deniedTools: approvalPolicy?.deniedTools ?? null,
    approvalDeadlineMs: approvalPolicy?.deadlineMs ?? null,
  };
  return { ...grants, ...configured, ...policy };
}

/** The restrictions that bind the keys of an administering key too, including its approval policy and its mode; otherwise it could lift them. */
function restrictionIssues(own: ConfiguredGrants, granted: ConfiguredGrants): readonly ProblemIssue[] {
  const { setMode } = granted;
  const devices = exceedingDevices(own, granted);
  // A key that sets a mode may change modes up to its maximum, so a maximum of its own must not reach further, nor one that is lifted.
  const hasOwnCeiling = granted.maxMode !== null || granted.modeCeiling !== undefined;
  const maxMode = hasOwnCeiling ? modeCeiling(own) : own.maxMode;
  const ceiling = modeCeiling({ ...own, approvalPolicy: approvalPolicyOfKey(own) });
  const setsOtherMode = own.setMode !== null && (setMode === null || !isSameMode(setMode, own.setMode));
  const setsFreerMode = own.setMode === null && setMode !== null && !allowsMode({ maxMode: ceiling }, setMode);
  const waitsLonger = (granted.approvalDeadlineMs ?? Infinity) > (own.approvalDeadlineMs ?? Infinity);
  const noOther = (object: string): string => `must allow no ${object} beyond those of the administering key`;
  const noFreerMode = "must not be more permissive than the administering key may set";
  const allTools = "must contain every tool that the administering key denies";
  const rules: readonly (readonly [isBroken: boolean, member: keyof KeyGrants, rule: string])[] = [
    [devices !== null, devices ?? "deviceIds", noOther("device")],
    [!isWithin(own.deviceTags, granted.deviceTags), "deviceTags", noOther("tag")],
    [!isWithin(own.agentIds, granted.agentIds), "agentIds", noOther("agent")],
    [!allowsMode({ maxMode }, granted.maxMode ?? undefined), "maxMode", noFreerMode],
    [setsOtherMode, "setMode", "must be that of the administering key"],
    [setsFreerMode, "setMode", noFreerMode],
    [!isWithin(granted.deniedTools ?? [], own.deniedTools ?? []), "deniedTools", allTools],
    [waitsLonger, "approvalDeadlineMs", "must be no longer than that of the administering key"],
  ];
  return rules.flatMap(([isBroken, member, rule]) => (isBroken ? [{ member, rule }] : []));
}

/** Returns the member through which a key would reach a device that the administering key does not, or `null`. */
function exceedingDevices(own: DeviceAllowlist, granted: DeviceAllowlist): "deviceIds" | "connectionNames" | null {
  if (own.deviceIds === null && own.connectionNames === null) return null;
  if (granted.deviceIds === null && granted.connectionNames === null) {
    return own.deviceIds === null ? "connectionNames" : "deviceIds";
  }
  if (!isWithin(own.deviceIds ?? [], granted.deviceIds ?? [])) return "deviceIds";
  const patterns = own.connectionNames ?? [];
  // The granted pattern is matched as if it were a name. Only a `*` can match its `*`, so an own pattern that matches the
  // granted one also matches every name that the granted one matches.
  return (granted.connectionNames ?? []).every((wanted) =>
    patterns.some((pattern) => matchesNamePattern(pattern, wanted)),
  )
    ? null
    : "connectionNames";
}

function isWithin(own: readonly string[] | null, granted: readonly string[] | null): boolean {
  return own === null || (granted !== null && granted.every((value) => own.includes(value)));
}
