/**
 * Environments: the devices that `listEnvironments` and `retrieveEnvironment` return. Schemas keep unknown members and unknown
 * modes, so that a newer server does not make a list unreadable.
 */
import * as v from "valibot";
import { type OpenEnum, openEnum, wireObject, type WireObjectSchema } from "../base/wire-schema.ts";

/** Permission modes in the API text. A row may have a newer one. */
export const environmentModes = ["default", "standard", "acceptEdits", "bypassPermissions", "unrestricted"] as const;

/** Permission mode of a device: which tools it runs without asking. */
export type EnvironmentMode = OpenEnum<(typeof environmentModes)[number]>;

/** Whether and how the device program can update itself. */
export interface SelfUpdate {
  /** Whether the program can update an installation of this kind. */
  supported: boolean;
  /** Whether the user who runs the device can write to the installation folder. */
  writable: boolean;
  /** Folder in which the program is installed. */
  install_path?: string;
  /** Command that updates the program by hand. */
  manual_command?: string;
  /** Why an update is not possible. */
  reason?: string;
}

/** Metadata that a device reports about itself. Newer devices add members. */
export interface EnvironmentMetadata {
  /** Git branch of the working directory. */
  gitBranch?: string;
  /** Version of Letta Code, such as `0.32.18`. */
  lettaCodeVersion?: string;
  /** Version of Node.js, such as `v24.21.0`. */
  nodeVersion?: string;
  /** `process.platform` of Node.js, such as `linux` or `darwin`. */
  os?: string;
  /** Whether and how the device can update itself. */
  self_update?: SelfUpdate;
  /** Slash commands that the device accepts. */
  supported_commands?: string[];
  /** Folder in which tools run. */
  workingDirectory?: string;
}

/** One remote environment: a device of one organisation, online or offline. Times are epoch milliseconds. */
export interface Environment {
  /** Id of the row, and the pagination cursor. */
  id: string;
  /** When the current connection opened; `null` while offline. */
  connectedAt: number | null;
  /** Address for `sendMessage`; `null` while offline, and new after each registration. */
  connectionId: string | null;
  /** Name that a person gave to the device. */
  connectionName: string;
  /** Identity of the device; the same after a restart. */
  deviceId: string;
  /** When the device first registered. */
  firstSeenAt: number;
  /** Last heartbeat on the current connection; `null` while offline. */
  lastHeartbeat: number | null;
  /** When the server last received anything from the device. */
  lastSeenAt: number;
  /** Organisation of the device; the tenant on a server of your own. */
  organizationId: string;
  /** Server process that holds the connection; `null` while offline. */
  podId: string | null;
  /** Owner of the key with which the device enrolled. */
  apiKeyOwner?: string;
  /** Which tools the device runs without asking. */
  currentMode?: EnvironmentMode;
  /** Name that the server's administrator gave to the device. */
  displayName?: string;
  /** Which of several listeners on the device the row belongs to; the same after a restart. */
  listenerInstanceId?: string;
  /** Details that the device reports about itself. */
  metadata?: EnvironmentMetadata;
  /** Tags that the server's administrator gave to the device. */
  tags?: string[];
  /**
   * Requests for permission that wait for a decision on a device that is online, for callers that may decide on them; absent if there are
   * none.
   */
  pendingApprovals?: number;
  /** Why messages to the device are refused although it is online; see the problem with this code. */
  sendProblem?: OpenEnum<"agents_api_missing">;
  /** User whose key the device enrolled with. */
  userId?: string;
}

/** One page of environments. */
export interface EnvironmentList {
  /** The rows of the page, ordered by `id`. */
  connections: Environment[];
  /** Whether there is another page: list again with `after` set to the last row's `id`. */
  hasNextPage: boolean;
}

/** Schema of {@link SelfUpdate}. */
export const SelfUpdateSchema: WireObjectSchema<SelfUpdate> = /* @__PURE__ */ wireObject(() => ({
  supported: v.boolean(),
  writable: v.boolean(),
  install_path: v.exactOptional(v.string()),
  manual_command: v.exactOptional(v.string()),
  reason: v.exactOptional(v.string()),
}));

/** Schema of {@link EnvironmentMetadata}. */
export const EnvironmentMetadataSchema: WireObjectSchema<EnvironmentMetadata> = /* @__PURE__ */ wireObject(() => ({
  gitBranch: v.exactOptional(v.string()),
  lettaCodeVersion: v.exactOptional(v.string()),
  nodeVersion: v.exactOptional(v.string()),
  os: v.exactOptional(v.string()),
  self_update: v.exactOptional(SelfUpdateSchema),
  supported_commands: v.exactOptional(v.array(v.string())),
  workingDirectory: v.exactOptional(v.string()),
}));

/** Schema of {@link Environment}. */
export const EnvironmentSchema: WireObjectSchema<Environment> = /* @__PURE__ */ wireObject(() => ({
  id: v.string(),
  connectedAt: v.nullable(v.number()),
  connectionId: v.nullable(v.string()),
  connectionName: v.string(),
  deviceId: v.string(),
  firstSeenAt: v.number(),
  lastHeartbeat: v.nullable(v.number()),
  lastSeenAt: v.number(),
  organizationId: v.string(),
  podId: v.nullable(v.string()),
  apiKeyOwner: v.exactOptional(v.string()),
  currentMode: v.exactOptional(openEnum(environmentModes)),
  displayName: v.exactOptional(v.string()),
  listenerInstanceId: v.exactOptional(v.string()),
  metadata: v.exactOptional(EnvironmentMetadataSchema),
  tags: v.exactOptional(v.array(v.string())),
  pendingApprovals: v.exactOptional(v.number()),
  sendProblem: v.exactOptional(openEnum(["agents_api_missing"])),
  userId: v.exactOptional(v.string()),
}));

/** Schema of {@link EnvironmentList}. */
export const EnvironmentListSchema: WireObjectSchema<EnvironmentList> = /* @__PURE__ */ wireObject(() => ({
  connections: v.array(EnvironmentSchema),
  hasNextPage: v.boolean(),
}));
