import type { KeyRateLimits } from "./key-rate-limit.ts";
import type { EnvironmentMode, Scope } from "@letta-environments/schema";

/** A gateway key as it is stored. The key itself is shown once and never kept. Times are epoch milliseconds. */
export interface KeyRecord {
  /** Public id: the part of the key that may be shown and logged. It stays the same when the key is rotated. */
  readonly id: string;
  readonly name: string;
  /** What the key is for, in words. */
  readonly description: string | null;
  /** Who holds the key, as rows of devices show it. */
  readonly owner: string;
  readonly tenant: string;
  readonly scopes: readonly Scope[];
  /** Devices the key may see, message or enrol, by id; with `connectionNames` both `null`, every device of the tenant. */
  readonly deviceIds: readonly string[] | null;
  /** The same by patterns of their names, in which `*` stands for any run of characters. */
  readonly connectionNames: readonly string[] | null;
  /** The only agents the key may send to; `null` means every agent. */
  readonly agentIds: readonly string[] | null;
  /** The freest mode in which a device may be when the key sends to it; `null` means any. */
  readonly maxMode: EnvironmentMode | null;
  /** Devices enrolled with the key may be enrolled with another one later. */
  readonly shared: boolean;
  /** The key's own measures of rate limits; `null` means those of the configuration. */
  readonly rateLimits: KeyRateLimits | null;
  /**
   * Names of features that a process must support to enforce the key, such as a kind of restriction that older versions do not
   * know. A process refuses a key that names another feature, so that it never treats a restricted key as unrestricted.
   */
  readonly requires: readonly string[];
  readonly createdAt: number;
  readonly expiresAt: number | null;
  /** Ended for good. */
  readonly revokedAt: number | null;
  /** Out of use until it is enabled again. */
  readonly disabledAt: number | null;
  /** The newest first; a second one while a rotation overlaps. */
  readonly secrets: readonly KeySecret[];
}

/** Features that this version can enforce, for {@link KeyRecord.requires}. */
const supportedFeatures: ReadonlySet<string> = new Set();

/** The features that a key requires and this version does not support; a key with any is refused. */
export function unsupportedFeatures({ requires }: Pick<KeyRecord, "requires">): readonly string[] {
  return requires.filter((feature) => !supportedFeatures.has(feature));
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

/** Identifies a secret of a key in memory and in logs: the first 64 bits of its digest, which do not reveal the rest. */
export function credentialIdOf(secret: Pick<KeySecret, "digest">): string {
  return secret.digest.slice(0, 16);
}

/** The members of a key that restrict it or describe it further, where none of them does. */
export const unrestricted: Pick<
  KeyRecord,
  | "description"
  | "deviceIds"
  | "connectionNames"
  | "agentIds"
  | "maxMode"
  | "shared"
  | "rateLimits"
  | "requires"
  | "expiresAt"
> = {
  description: null,
  deviceIds: null,
  connectionNames: null,
  agentIds: null,
  maxMode: null,
  shared: false,
  rateLimits: null,
  requires: [],
  expiresAt: null,
};
