import type { Scope } from "./scope.ts";

/** Who makes a request, decided by the gateway and handed to a service as an argument, never as a header. */
export interface Principal {
  /** The tenant; every row and every result belongs to exactly one. */
  readonly tenant: string;
  /** Public id of the key; it stays the same when the key is rotated. */
  readonly keyId: string;
  /** Who holds the key, as shown in `userId` and `apiKeyOwner`. */
  readonly owner: string;
  readonly scopes: ReadonlySet<Scope>;
  /** The only devices this principal may see, message or enrol; `null` means every device of the tenant. */
  readonly deviceIds: readonly string[] | null;
  /** Devices that this key enrols do not belong to it alone. */
  readonly shared: boolean;
}
