/**
 * The principal of a request: its tenant and what it may do. A gateway determines it from the key and passes it to a service as an
 * argument, never in a header.
 */
import type { ApprovalPolicy } from "../schemas/approval.ts";
import type { EnvironmentMode } from "../schemas/environment.ts";

/** Every {@link Scope}, in display order. */
export const scopes = [
  "list",
  "read",
  "send",
  "approve",
  "view",
  "control",
  "files",
  "terminal",
  "manage",
  "connect",
  "details",
  "admin",
] as const;

/**
 * A permission of a gateway key. `list`, `read` and `send` are the three operations for callers. `approve` is required to send
 * approvals, `view` shows the output of turns, `control` stops turns and changes the mode, the directory and the queue of a
 * conversation, `files`, `terminal` and `manage` are the other commands of a device. `connect` lets a device enrol, `details`
 * shows hidden members, `admin` administers keys and devices.
 */
export type Scope = (typeof scopes)[number];

/**
 * Allowed devices, by id and by patterns of their names (`*` matches any characters). A device is allowed if one of the lists
 * contains it. If both lists are `null`, every device is allowed.
 */
export interface DeviceAllowlist {
  readonly deviceIds: readonly string[] | null;
  readonly connectionNames: readonly string[] | null;
}

/** The sender of a request and its permissions. Its own {@link DeviceAllowlist} restricts it to some devices of the tenant. */
export interface Principal extends DeviceAllowlist {
  /** Every row and every result belongs to exactly one tenant. */
  readonly tenant: string;
  /** Public id of the key; the same after a rotation. */
  readonly keyId: string;
  /**
   * Identifies the secret or the token that authenticated, where a key id can have several; it changes when the key is rotated or
   * the token renewed. It may be logged: it is neither the secret nor its digest. Absent or `null` if a key id has only one.
   */
  readonly credentialId?: string | null;
  /** When the token that authenticated expires, in epoch milliseconds; absent if a stored key has the expiry. */
  readonly credentialExpiresAt?: number;
  /** Owner of the key, shown as `userId` and `apiKeyOwner`. */
  readonly owner: string;
  readonly scopes: ReadonlySet<Scope>;
  /** Devices to which the whole tenant is restricted, in addition; absent or `null`: every device. */
  readonly tenantDevices?: DeviceAllowlist | null;
  /** A device must have one of these tags, in addition to the allowlist; absent or `null`: any device. */
  readonly deviceTags?: readonly string[] | null;
  /** Shown as `organizationId` if the real one is hidden; the tenant when absent. */
  readonly tenantName?: string;
  /** The only agents to which this principal may send; `null`: every agent. */
  readonly agentIds: readonly string[] | null;
  /** The most permissive mode that a device may have when a message is sent to it; `null`: any mode, even an unknown one. */
  readonly maxMode: EnvironmentMode | null;
  /**
   * The mode to which a conversation is switched before a message of this principal runs in it; absent or `null`: it keeps its
   * mode. Nothing is sent unless the device reports that mode.
   */
  readonly setMode?: EnvironmentMode | null;
  /**
   * The most permissive mode that this principal may choose itself, if that is neither its maximum nor the mode that it sets; `null`: any.
   * Absent: derived from `maxMode` and `setMode`.
   */
  readonly modeCeiling?: EnvironmentMode | null;
  /**
   * The rules that decide on requests for permission when nobody does: in turns that this principal starts, and on devices that connect
   * with its key. Absent or `null`: they wait.
   */
  readonly approvalPolicy?: ApprovalPolicy | null;
  /** Whether other keys may also use the devices that this key enrols. */
  readonly shared: boolean;
}
