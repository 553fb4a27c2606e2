import type { Environment, EnvironmentMode } from "./environment.ts";
import { isRecord } from "./is-record.ts";
import type { DeviceAllowlist, Principal } from "./principal.ts";

/** What {@link allowsDevice} looks at. */
export type DeviceIdentity = Pick<Environment, "deviceId" | "connectionName">;

/** Whether a principal may know of a device of its tenant. One that it may not know of does not exist for it. */
export function allowsDevice(
  principal: DeviceAllowlist & Pick<Principal, "tenantDevices">,
  device: DeviceIdentity,
): boolean {
  const { tenantDevices = null } = principal;
  return isListed(principal, device) && (tenantDevices === null || isListed(tenantDevices, device));
}

function isListed({ deviceIds, connectionNames }: DeviceAllowlist, device: DeviceIdentity): boolean {
  if (deviceIds === null && connectionNames === null) return true;
  if (deviceIds?.includes(device.deviceId) === true) return true;
  return connectionNames?.some((pattern) => matchesNamePattern(pattern, device.connectionName)) === true;
}

/** Whether a principal may send to an agent; without an agent only when every agent is allowed. */
export function allowsAgent({ agentIds }: Pick<Principal, "agentIds">, agentId: string | undefined): boolean {
  return agentIds === null || (agentId !== undefined && agentIds.includes(agentId));
}

// Legacy names stand beside the ones that devices use today.
const rankedModes: readonly (readonly [mode: string, rank: number])[] = [
  ["default", 0],
  ["standard", 0],
  ["acceptEdits", 1],
  ["bypassPermissions", 2],
  ["unrestricted", 2],
];
const modeRanks: ReadonlyMap<string, number> = /* @__PURE__ */ new Map(rankedModes);

/** Modes that can be a ceiling, from the strictest to the freest. */
export const ceilingModes: readonly EnvironmentMode[] = /* @__PURE__ */ rankedModes.map(([mode]) => mode);

/** Whether a principal may send to a device in this mode. Under a ceiling an unknown or untold mode is refused. */
export function allowsMode({ maxMode }: Pick<Principal, "maxMode">, currentMode: string | undefined): boolean {
  if (maxMode === null) return true;
  const ceiling = modeRanks.get(maxMode);
  const rank = currentMode === undefined ? undefined : modeRanks.get(currentMode);
  return ceiling !== undefined && rank !== undefined && rank <= ceiling;
}

/** What {@link presentEnvironment} looks at; a row of a newer server may have anything there. */
export interface PresentableEnvironment {
  readonly organizationId?: unknown;
  readonly podId?: unknown;
  readonly userId?: unknown;
  readonly apiKeyOwner?: unknown;
  readonly metadata?: unknown;
}

/**
 * What a principal is shown of an environment; the same object when it may be shown as it is. Without scope `details`, members
 * that say how the service is run or who runs the device are hidden: `podId` is null, `organizationId` is the tenant's public
 * name, and `userId`, `apiKeyOwner` and `metadata.self_update.install_path` are left out.
 */
export function presentEnvironment<Shown extends PresentableEnvironment>(
  { scopes, tenant, tenantName = tenant }: Pick<Principal, "scopes" | "tenant" | "tenantName">,
  environment: Shown,
): Shown {
  if (scopes.has("details") || !hasHidden(environment, tenantName)) return environment;
  const { userId: _userId, apiKeyOwner: _apiKeyOwner, metadata, ...rest } = environment;
  const shown = { ...rest, podId: null, organizationId: tenantName };
  const presented = metadata === undefined ? shown : { ...shown, metadata: withoutInstallPath(metadata) };
  // The members that were left out are optional ones, and the ones that were put in keep their types.
  return presented as unknown as Shown;
}

function hasHidden(environment: PresentableEnvironment, tenantName: string): boolean {
  return (
    environment.podId !== null ||
    environment.organizationId !== tenantName ||
    Object.hasOwn(environment, "userId") ||
    Object.hasOwn(environment, "apiKeyOwner") ||
    withoutInstallPath(environment.metadata) !== environment.metadata
  );
}

/** The same value when there is no such path in it. */
function withoutInstallPath(metadata: unknown): unknown {
  if (!isRecord(metadata) || !isRecord(metadata["self_update"])) return metadata;
  const { install_path: installPath, ...selfUpdate } = metadata["self_update"];
  return installPath === undefined ? metadata : { ...metadata, self_update: selfUpdate };
}

/**
 * Whether a name matches a pattern in which `*` stands for any run of characters and every other character for itself. Takes
 * time in the product of the lengths at most, whatever the pattern.
 */
export function matchesNamePattern(pattern: string, name: string): boolean {
  let patternIndex = 0;
  let nameIndex = 0;
  let starIndex = -1;
  let resumeIndex = 0;
  while (nameIndex < name.length) {
    if (pattern[patternIndex] === "*") {
      starIndex = patternIndex++;
      resumeIndex = nameIndex;
    } else if (patternIndex < pattern.length && pattern[patternIndex] === name[nameIndex]) {
      patternIndex++;
      nameIndex++;
    } else if (starIndex !== -1) {
      patternIndex = starIndex + 1;
      nameIndex = ++resumeIndex;
    } else {
      return false;
    }
  }
  while (pattern[patternIndex] === "*") patternIndex++;
  return patternIndex === pattern.length;
}
