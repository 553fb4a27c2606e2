import * as v from "valibot";
import { type OpenEnum, openEnum } from "./open-enum.ts";
import { wireObject } from "./wire-object.ts";

/** Permission modes named by the API text; a row may carry a newer one. */
export const environmentModes = ["default", "standard", "acceptEdits", "bypassPermissions", "unrestricted"] as const;

/** How freely a device runs tools. */
export type EnvironmentMode = OpenEnum<(typeof environmentModes)[number]>;

/** Whether and how the device program can update itself. */
export interface SelfUpdate {
  /** The program knows how to update itself in this kind of installation. */
  supported: boolean;
  /** The installation folder can be written by the user who runs the device. */
  writable: boolean;
  /** Where the program is installed. */
  install_path?: string;
  /** What a person can run instead. */
  manual_command?: string;
  /** Why an update is not possible. */
  reason?: string;
}

/** What a device says of itself; newer devices add members. */
export interface EnvironmentMetadata {
  /** Branch that is checked out in the working directory. */
  gitBranch?: string;
  lettaCodeVersion?: string;
  nodeVersion?: string;
  /** Platform name as Node.js gives it, such as `linux` or `darwin`. */
  os?: string;
  self_update?: SelfUpdate;
  /** Slash commands the device accepts. */
  supported_commands?: string[];
  /** Folder in which tools run. */
  workingDirectory?: string;
}

/** One remote environment: a device of one organisation, online or offline. Times are epoch milliseconds. */
export interface Environment {
  /** Id of the row, and the pagination cursor. */
  id: string;
  /** When the present connection opened; `null` while offline. */
  connectedAt: number | null;
  /** Where to send messages; `null` while offline, and new after each registration. */
  connectionId: string | null;
  /** The name people gave the device. */
  connectionName: string;
  /** Identity of the device, stable over restarts. */
  deviceId: string;
  /** When the device first registered. */
  firstSeenAt: number;
  /** Latest sign of life on the present connection; `null` while offline. */
  lastHeartbeat: number | null;
  /** When the device was last heard of. */
  lastSeenAt: number;
  organizationId: string;
  /** Server process that holds the connection; `null` while offline. */
  podId: string | null;
  /** Who owns the key the device enrolled with. */
  apiKeyOwner?: string;
  currentMode?: EnvironmentMode;
  metadata?: EnvironmentMetadata;
  userId?: string;
}

/** One page of environments. */
export interface EnvironmentList {
  connections: Environment[];
  /** Ask again with `after` set to the last row's `id`. */
  hasNextPage: boolean;
}

/** {@link SelfUpdate}; unknown members are kept. */
export const SelfUpdateSchema: v.GenericSchema<unknown, SelfUpdate> = wireObject({
  supported: v.boolean(),
  writable: v.boolean(),
  install_path: v.exactOptional(v.string()),
  manual_command: v.exactOptional(v.string()),
  reason: v.exactOptional(v.string()),
});

/** {@link EnvironmentMetadata}; unknown members are kept. */
export const EnvironmentMetadataSchema: v.GenericSchema<unknown, EnvironmentMetadata> = wireObject({
  gitBranch: v.exactOptional(v.string()),
  lettaCodeVersion: v.exactOptional(v.string()),
  nodeVersion: v.exactOptional(v.string()),
  os: v.exactOptional(v.string()),
  self_update: v.exactOptional(SelfUpdateSchema),
  supported_commands: v.exactOptional(v.array(v.string())),
  workingDirectory: v.exactOptional(v.string()),
});

/** {@link Environment}, read tolerantly: unknown members and unknown modes are kept. */
export const EnvironmentSchema: v.GenericSchema<unknown, Environment> = wireObject({
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
  metadata: v.exactOptional(EnvironmentMetadataSchema),
  userId: v.exactOptional(v.string()),
});

/** {@link EnvironmentList}, read tolerantly. */
export const EnvironmentListSchema: v.GenericSchema<unknown, EnvironmentList> = wireObject({
  connections: v.array(EnvironmentSchema),
  hasNextPage: v.boolean(),
});
