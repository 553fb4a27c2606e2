/**
 * Decides which devices and agents a {@link Principal} may use, in which mode, and which members of an environment it may see.
 * All are pure functions.
 */
import type { Environment, EnvironmentMode } from "../schemas/environment.ts";
import type { DeviceAllowlist, Principal, Scope } from "./principal.ts";
import { isRecord } from "../base/rules.ts";

/** The members of an environment that {@link allowsDevice} checks. A row of another server may have anything as its tags. */
export type DeviceIdentity = Pick<Environment, "deviceId" | "connectionName"> & { readonly tags?: unknown };

/** Returns whether a principal may use a device of its tenant. Services must treat other devices as nonexistent. */
export function allowsDevice(
  principal: DeviceAllowlist & Pick<Principal, "tenantDevices" | "deviceTags">,
  device: DeviceIdentity,
): boolean {
  const { tenantDevices = null, deviceTags = null } = principal;
  return (
    isListed(principal, device) &&
    (tenantDevices === null || isListed(tenantDevices, device)) &&
    (deviceTags === null || deviceTags.some((tag) => hasTag(device, tag)))
  );
}

/** Names that are matched with a pattern in one turn of the event loop. A hostile pattern takes some microseconds each time. */
const matchesAtATime = 5_000;

/** Devices that are checked in one turn of the event loop; fewer if each is matched with many patterns. */
const devicesAtATime = 500;

/**
 * Returns how many devices {@link allowsDevice} may check in one turn of the event loop, 1 to 500, so that a principal or tenant with many
 * name patterns does not delay others.
 */
export function devicesPerTurn({
  connectionNames,
  tenantDevices = null,
}: Pick<DeviceAllowlist, "connectionNames"> & Pick<Principal, "tenantDevices">): number {
  const patterns = (connectionNames?.length ?? 0) + (tenantDevices?.connectionNames?.length ?? 0);
  return Math.max(1, Math.min(devicesAtATime, Math.floor(matchesAtATime / Math.max(1, patterns))));
}

/** Returns whether a device has all these tags, which is how a list filters by `tag`. */
export function hasEveryTag(device: Pick<DeviceIdentity, "tags">, tags: readonly string[]): boolean {
  return tags.every((tag) => hasTag(device, tag));
}

function hasTag({ tags }: Pick<DeviceIdentity, "tags">, tag: string): boolean {
  return Array.isArray(tags) && tags.includes(tag);
}

function isListed({ deviceIds, connectionNames }: DeviceAllowlist, device: DeviceIdentity): boolean {
  if (deviceIds === null && connectionNames === null) return true;
  if (deviceIds?.includes(device.deviceId) === true) return true;
  return connectionNames?.some((pattern) => matchesNamePattern(pattern, device.connectionName)) === true;
}

/** Returns whether a principal may send to an agent. A message without an agent requires that every agent is allowed. */
export function allowsAgent({ agentIds }: Pick<Principal, "agentIds">, agentId: string | undefined): boolean {
  return agentIds === null || (agentId !== undefined && agentIds.includes(agentId));
}

// `default` and `bypassPermissions` are older names of `standard` and `unrestricted`.
const rankedModes: readonly (readonly [mode: string, rank: number])[] = [
  ["default", 0],
  ["standard", 0],
  ["acceptEdits", 1],
  ["bypassPermissions", 2],
  ["unrestricted", 2],
];
const modeRanks: ReadonlyMap<string, number> = /* @__PURE__ */ new Map(rankedModes);

/** Modes that `maxMode` accepts, from the strictest to the most permissive. */
export const ceilingModes: readonly EnvironmentMode[] = /* @__PURE__ */ rankedModes.map(([mode]) => mode);

/** Compares a mode with the `maxMode` of a principal. An unknown or missing mode exceeds it. The caller decides which modes of a device count. */
export function allowsMode({ maxMode }: Pick<Principal, "maxMode">, currentMode: string | undefined): boolean {
  if (maxMode === null) return true;
  const ceiling = modeRanks.get(maxMode);
  const rank = currentMode === undefined ? undefined : modeRanks.get(currentMode);
  return ceiling !== undefined && rank !== undefined && rank <= ceiling;
}

/**
 * Tools that a device runs without asking in every mode that the API can set, so that no denial applies to them, under their names in all versions of
 * Letta Code that tests run. In every mode it also runs read-only shell commands, and commands in the memory folder of the agent, without asking.
 */
export const unaskedTools: readonly string[] = [
  ...["Read", "Glob", "Grep", "LS", "Skill", "TodoWrite", "UpdatePlan", "TaskOutput", "memory", "memory_apply_patch"],
  ...["MessageChannel", "write_stdin", "read_file", "list_dir", "grep_files", "update_plan", "ReadFile", "ListDir"],
  ...["GrepFiles", "read_file_gemini", "list_directory", "glob_gemini", "search_file_content", "write_todos"],
  ...["read_many_files", "ReadFileGemini", "ListDirectory", "GlobGemini", "SearchFileContent", "WriteTodos"],
  ...["ReadManyFiles"],
];

/** Tools that a device runs without asking in the mode `acceptEdits`, under their names in all versions of Letta Code that tests run. */
const editTools: readonly string[] = [
  ...["Write", "Edit", "MultiEdit", "NotebookEdit", "memory", "apply_patch", "ApplyPatch", "memory_apply_patch"],
  ...["replace", "Replace", "write_file", "WriteFile", "write_file_gemini", "WriteFileGemini"],
];

/**
 * Returns the most permissive mode that a principal may choose itself, or set before its messages; `null`: any. A key that sets a mode and has
 * no maximum must not undo that. A key that denies tools must not choose a mode in which a device asks about fewer of them than in `standard`.
 */
export function modeCeiling({
  maxMode,
  setMode = null,
  modeCeiling: ceiling = maxMode ?? setMode,
  approvalPolicy = null,
}: Pick<Principal, "maxMode" | "setMode" | "modeCeiling" | "approvalPolicy">): EnvironmentMode | null {
  const deniedTools = approvalPolicy?.deniedTools ?? [];
  if (deniedTools.length === 0) return ceiling;
  const deniesEdits = deniedTools.some((pattern) => editTools.some((tool) => matchesNamePattern(pattern, tool)));
  const asking: EnvironmentMode = deniesEdits ? "standard" : "acceptEdits";
  return ceiling === null || allowsMode({ maxMode: ceiling }, asking) ? asking : ceiling;
}

/** Returns whether two names mean the same mode: `default` is `standard`, and `bypassPermissions` is `unrestricted`. */
export function isSameMode(left: string, right: string): boolean {
  const rank = modeRanks.get(left);
  return rank === undefined ? left === right : rank === modeRanks.get(right);
}

/**
 * Whether a list is filtered by a user id that the principal may not see. Such a list is empty and must not be requested upstream: its rows would show
 * the devices of that user.
 */
export function isUserHidden({ scopes }: Pick<Principal, "scopes">, userId: string | undefined): boolean {
  return userId !== undefined && !scopes.has("details");
}

/** The members that {@link presentEnvironment} may hide. A row of a newer server may have any value there. */
export interface PresentableEnvironment {
  readonly organizationId?: unknown;
  readonly podId?: unknown;
  readonly userId?: unknown;
  readonly apiKeyOwner?: unknown;
  readonly metadata?: unknown;
}

/**
 * Returns an environment as a principal may see it; the same object if nothing is hidden. Without the scope `details`, the members
 * that identify the server or the owner of the device are hidden: `podId` is null, `organizationId` is the tenant's public
 * name, and `userId`, `apiKeyOwner` and `metadata.self_update.install_path` are absent.
 */
export function presentEnvironment<Shown extends PresentableEnvironment>(
  { scopes, tenant, tenantName = tenant }: Pick<Principal, "scopes" | "tenant" | "tenantName">,
  environment: Shown,
): Shown {
  if (scopes.has("details") || !hasHidden(environment, tenantName)) return environment;
  const { userId: _userId, apiKeyOwner: _apiKeyOwner, metadata, ...rest } = environment;
  const shown = { ...rest, podId: null, organizationId: tenantName };
  const presented = metadata === undefined ? shown : { ...shown, metadata: withoutInstallPath(metadata) };
  // Only optional members were removed, and replaced members keep their types.
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

/** Returns the metadata of a device as a principal may see it, see {@link presentEnvironment}. */
export function presentMetadata<Metadata>({ scopes }: Pick<Principal, "scopes">, metadata: Metadata): Metadata {
  // Only an optional member was removed.
  return scopes.has("details") ? metadata : (withoutInstallPath(metadata) as Metadata);
}

/** Returns the same value if it has no such path. */
function withoutInstallPath(metadata: unknown): unknown {
  if (!isRecord(metadata) || !isRecord(metadata["self_update"])) return metadata;
  const { install_path: installPath, ...selfUpdate } = metadata["self_update"];
  return installPath === undefined ? metadata : { ...metadata, self_update: selfUpdate };
}

/**
 * Returns whether a name matches a pattern. `*` matches any number of characters, every other character matches itself. Searches the
 * texts between the stars one after the other, without backtracking, so a hostile pattern takes no longer.
 */
export function matchesNamePattern(pattern: string, name: string): boolean {
  const first = pattern.indexOf("*");
  if (first === -1) return pattern === name;
  const last = pattern.lastIndexOf("*");
  const end = name.length - (pattern.length - last - 1);
  if (end < first || !name.startsWith(pattern.slice(0, first)) || !name.endsWith(pattern.slice(last + 1))) return false;
  let at = first;
  for (const text of pattern.slice(first, last).split("*")) {
    const found = name.indexOf(text, at);
    if (found === -1 || found + text.length > end) return false;
    at = found + text.length;
  }
  return true;
}

/**
 * Scopes that reach everything on a device: its files, a terminal, and the management of agents, schedules and secrets. A limit
 * to some agents or modes, or a denial of tools, cannot be enforced there.
 */
export const unlimitedScopes: readonly Scope[] = ["files", "terminal", "manage"];

/** The members of a principal that limit its actions on a device that it may use. */
export type DeviceLimits = Partial<Pick<Principal, "agentIds" | "maxMode" | "setMode" | "approvalPolicy">>;

/** Returns whether a principal is limited to some agents or modes, or denies tools, so that it must not use {@link unlimitedScopes}. */
export function isLimitedOnDevices({
  agentIds = null,
  maxMode = null,
  setMode = null,
  approvalPolicy = null,
}: DeviceLimits): boolean {
  const deniesTools = (approvalPolicy?.deniedTools ?? []).length > 0;
  return deniesTools || agentIds !== null || maxMode !== null || setMode !== null;
}

/** Returns whether a principal may use a scope on a device. A key that was stored before a rule existed can have {@link unlimitedScopes} and a limit. */
export function allowsScope(principal: DeviceLimits & Pick<Principal, "scopes">, scope: Scope): boolean {
  return principal.scopes.has(scope) && !(unlimitedScopes.includes(scope) && isLimitedOnDevices(principal));
}
