/**
 * The rights that an administering key may grant. It can grant any scope to other keys, but each of its own restrictions binds every key that it
 * creates or changes: devices, agents, the ceiling on the mode, the mode that it sets, its approval policy, its rate limits, and its expiry.
 * It never adds to itself.
 */
import { allowsMode, type DeviceAllowlist, matchesNamePattern, type ProblemIssue } from "@letta-environments/schema";
import { isWithinRateLimits } from "../keys/key-rate-limit.ts";
import type { KeyRecord } from "../keys/key-record.ts";
import type { RateLimitPolicy } from "../rate-limit/policy.ts";
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

/**
 * Returns the members of a key that exceed the rights of an authority which creates the key, changes it into this, or learns its
 * secret. `before` is the key before the change, and `policies` are the rate limits of a key without overrides.
 */
export function grantIssues(
  authority: AdminAuthority,
  grants: KeyGrants,
  before: Pick<KeyRecord, "rateLimits"> | null = null,
  policies: readonly RateLimitPolicy[] = [],
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
