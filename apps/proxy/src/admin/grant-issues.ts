import { allowsMode, type DeviceAllowlist, matchesNamePattern, type ProblemIssue } from "@letta-environments/schema";
import type { KeyRecord } from "../keys/key-record.ts";
import type { AdminAuthority } from "./admin-authority.ts";

/** What a key gives to whoever holds it. */
export type KeyGrants = Pick<
  KeyRecord,
  "id" | "tenant" | "scopes" | "deviceIds" | "connectionNames" | "agentIds" | "maxMode" | "expiresAt" | "rateLimits"
>;

/**
 * What of a key exceeds the rights of the authority that would create it, change it into this, or learn its secret.
 *
 * The scope `admin` gives any scope to other keys, `admin` included, since a restriction binds whatever is made under it: devices,
 * agents, the ceiling and the end of the administering key hold for every key that it gives away. It never adds to itself.
 */
export function grantIssues(
  authority: AdminAuthority,
  grants: KeyGrants,
  before: Pick<KeyRecord, "rateLimits"> | null = null,
): readonly ProblemIssue[] {
  if (authority.kind === "operator") return [];
  const { record, endsAt } = authority;
  const issues: ProblemIssue[] = [];
  const exceeds = (member: keyof KeyGrants, rule: string): void => void issues.push({ member, rule });

  if (grants.tenant !== record.tenant) exceeds("tenant", "must be that of the administering key");
  if (grants.id === record.id && grants.scopes.some((scope) => !record.scopes.includes(scope))) {
    exceeds("scopes", "must not add to the administering key itself");
  }
  const devices = devicesMember(record, grants);
  if (devices !== null) exceeds(devices, "must allow no device beyond those of the administering key");
  if (!isWithin(record.agentIds, grants.agentIds)) {
    exceeds("agentIds", "must allow no agent beyond those of the administering key");
  }
  if (!allowsMode(record, grants.maxMode ?? undefined)) {
    exceeds("maxMode", "must be no freer than that of the administering key");
  }
  if (endsAt !== null && (grants.expiresAt === null || grants.expiresAt > endsAt)) {
    exceeds("expiresAt", "must be no later than the end of the administering key");
  }
  // Whoever is limited must not lift limits: not its own, and not by a key that it makes.
  if (JSON.stringify(grants.rateLimits) !== JSON.stringify(before?.rateLimits ?? null)) {
    exceeds("rateLimits", "can be set by the command line and the administration listener alone");
  }
  return issues;
}

/** The member through which a key would reach a device that the other may not, or `null`. */
function devicesMember(own: DeviceAllowlist, granted: DeviceAllowlist): "deviceIds" | "connectionNames" | null {
  if (own.deviceIds === null && own.connectionNames === null) return null;
  if (granted.deviceIds === null && granted.connectionNames === null) {
    return own.deviceIds === null ? "connectionNames" : "deviceIds";
  }
  if (!isWithin(own.deviceIds ?? [], granted.deviceIds ?? [])) return "deviceIds";
  const patterns = own.connectionNames ?? [];
  return (granted.connectionNames ?? []).every((wanted) => patterns.some((pattern) => coversPattern(pattern, wanted)))
    ? null
    : "connectionNames";
}

/**
 * Whether every name that matches `narrow` matches `wide` too. A `*` of `narrow` is matched by a `*` of `wide` alone, since no
 * other character of a pattern is one; so what matches the text of `narrow` matches whatever its stars stand for.
 */
function coversPattern(wide: string, narrow: string): boolean {
  return matchesNamePattern(wide, narrow);
}

function isWithin(own: readonly string[] | null, granted: readonly string[] | null): boolean {
  return own === null || (granted !== null && granted.every((value) => own.includes(value)));
}
