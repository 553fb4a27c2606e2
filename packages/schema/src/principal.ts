import type { EnvironmentMode } from "./environment.ts";
import type { Scope } from "./scope.ts";

/**
 * Devices by id and by patterns of their names (`*` stands for any run of characters). A device is allowed when either names
 * it; when both are `null`, every device is.
 */
export interface DeviceAllowlist {
  readonly deviceIds: readonly string[] | null;
  readonly connectionNames: readonly string[] | null;
}

/** Who makes a request, decided by the gateway and handed to a service as an argument, never as a header. */
export interface Principal extends DeviceAllowlist {
  /** The tenant; every row and every result belongs to exactly one. */
  readonly tenant: string;
  /** Public id of the key; it stays the same when the key is rotated. */
  readonly keyId: string;
  /**
   * Identifies the secret that authenticated, where a key can have several; it changes when the key is rotated. It may be
   * logged: it is neither the secret nor its digest. Absent or `null` where the key has no separate secrets.
   */
  readonly credentialId?: string | null;
  /** Who holds the key, as shown in `userId` and `apiKeyOwner`. */
  readonly owner: string;
  readonly scopes: ReadonlySet<Scope>;
  /** Devices of the tenant that this principal may see, message or enrol, by id and by patterns of their names. */
  readonly deviceIds: readonly string[] | null;
  readonly connectionNames: readonly string[] | null;
  /** Devices that the tenant itself is held to, in addition; absent or `null`: every one. */
  readonly tenantDevices?: DeviceAllowlist | null;
  /** What is shown as `organizationId` in the place of a hidden one; the tenant when absent. */
  readonly tenantName?: string;
  /** The only agents this principal may send to; `null` means every agent. */
  readonly agentIds: readonly string[] | null;
  /** The freest mode in which a device may be when it is sent to; `null` means any, also an unknown one. */
  readonly maxMode: EnvironmentMode | null;
  /** Devices that this key enrols do not belong to it alone. */
  readonly shared: boolean;
}
