import type { Scope } from "@letta-environments/schema";

/** A gateway key as it is stored. The key itself is shown once and never kept. Times are epoch milliseconds. */
export interface KeyRecord {
  /** Public id: the part of the key that may be shown and logged. It stays the same when the key is rotated. */
  readonly id: string;
  readonly name: string;
  /** Who holds the key, as rows of devices show it. */
  readonly owner: string;
  readonly tenant: string;
  readonly scopes: readonly Scope[];
  /** The only devices the key may see, message or enrol; `null` means every device of the tenant. */
  readonly deviceIds: readonly string[] | null;
  /** Devices enrolled with the key may be enrolled with another one later. */
  readonly shared: boolean;
  readonly createdAt: number;
  readonly expiresAt: number | null;
  readonly revokedAt: number | null;
  /** The newest first; a second one while a rotation overlaps. */
  readonly secrets: readonly KeySecret[];
}

/** One accepted secret of a key. */
export interface KeySecret {
  /** HMAC-SHA-256 of the whole key under the pepper, in hex. */
  readonly digest: string;
  /** The pepper that made the digest. */
  readonly pepperId: string;
  readonly createdAt: number;
  readonly expiresAt: number | null;
}
