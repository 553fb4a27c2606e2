import type { Environment, EnvironmentMode } from "./environment.ts";
import type { Principal } from "./principal.ts";

/** What {@link allowsDevice} looks at. */
export type DeviceIdentity = Pick<Environment, "deviceId" | "connectionName">;

/** Whether a principal may know of a device of its tenant. One that it may not know of does not exist for it. */
export function allowsDevice(
  { deviceIds, connectionNames }: Pick<Principal, "deviceIds" | "connectionNames">,
  device: DeviceIdentity,
): boolean {
  if (deviceIds === null && connectionNames === null) return true;
  if (deviceIds?.includes(device.deviceId) === true) return true;
  return connectionNames?.some((pattern) => matchesNamePattern(pattern, device.connectionName)) === true;
}

/** Whether a principal may send to an agent; without an agent only when every agent is allowed. */
export function allowsAgent({ agentIds }: Pick<Principal, "agentIds">, agentId: string | undefined): boolean {
  return agentIds === null || (agentId !== undefined && agentIds.includes(agentId));
}

// Legacy names stand beside the ones that devices use today.
const modeRanks: ReadonlyMap<string, number> = new Map([
  ["default", 0],
  ["standard", 0],
  ["acceptEdits", 1],
  ["bypassPermissions", 2],
  ["unrestricted", 2],
]);

/** Modes that can be a ceiling, from the strictest to the freest. */
export const ceilingModes: readonly EnvironmentMode[] = [...modeRanks.keys()];

/** Whether a principal may send to a device in this mode. Under a ceiling an unknown or untold mode is refused. */
export function allowsMode({ maxMode }: Pick<Principal, "maxMode">, currentMode: string | undefined): boolean {
  if (maxMode === null) return true;
  const ceiling = modeRanks.get(maxMode);
  const rank = currentMode === undefined ? undefined : modeRanks.get(currentMode);
  return ceiling !== undefined && rank !== undefined && rank <= ceiling;
}

/**
 * What a principal is shown of an environment. Without scope `details`, members that say how the service is run or who runs
 * the device are hidden: `podId` is null, `organizationId` is the tenant's public name, and `userId`, `apiKeyOwner` and
 * `metadata.self_update.install_path` are left out.
 */
export function presentEnvironment<Shown extends Environment>(
  principal: Pick<Principal, "scopes" | "tenant">,
  environment: Shown,
): Shown {
  if (principal.scopes.has("details")) return environment;
  const { userId: _userId, apiKeyOwner: _apiKeyOwner, ...rest } = environment;
  const shown = { ...rest, podId: null, organizationId: principal.tenant };
  const selfUpdate = environment.metadata?.self_update;
  if (selfUpdate?.install_path === undefined) return shown as unknown as Shown;
  const { install_path: _installPath, ...selfUpdateRest } = selfUpdate;
  return { ...shown, metadata: { ...environment.metadata, self_update: selfUpdateRest } } as unknown as Shown;
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
