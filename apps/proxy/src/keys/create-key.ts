import type { EnvironmentMode, Scope } from "@letta-environments/schema";
import { generateKey, generateKeyId } from "./key-format.ts";
import type { Digests, Pepper, RandomBytes } from "../ports.ts";
import type { KeyRateLimits } from "./key-rate-limit.ts";
import { type KeyRecord, type KeySecret, unrestricted } from "./key-record.ts";

/** What a new key may do and for whom; an absent member restricts nothing. */
export interface KeyRequest {
  readonly name: string;
  readonly description?: string | null;
  /** The key's name when absent. */
  readonly owner?: string | null;
  readonly tenant: string;
  readonly scopes: readonly Scope[];
  readonly deviceIds?: readonly string[] | null;
  readonly connectionNames?: readonly string[] | null;
  readonly agentIds?: readonly string[] | null;
  readonly maxMode?: EnvironmentMode | null;
  readonly shared?: boolean;
  readonly rateLimits?: KeyRateLimits | null;
  /** Epoch milliseconds. */
  readonly expiresAt?: number | null;
}

/** What minting needs from outside. */
export interface KeyMint {
  readonly digests: Pick<Digests, "hmacSha256">;
  readonly pepper: Pepper;
  readonly randomBytes: RandomBytes;
}

/** A key in clear, to be shown once, and what is stored of it. */
export interface MintedKey {
  readonly key: string;
  readonly record: KeyRecord;
}

/** Mints a key. */
export function createKey(request: KeyRequest, nowMs: number, mint: KeyMint): MintedKey {
  const id = generateKeyId(mint.randomBytes);
  const { key, secret } = mintSecret(id, nowMs, mint);
  const record: KeyRecord = {
    ...unrestricted,
    ...request,
    id,
    owner: request.owner ?? request.name,
    createdAt: nowMs,
    revokedAt: null,
    disabledAt: null,
    secrets: [secret],
  };
  return { key, record };
}

/** Mints one more secret for a public id. */
export function mintSecret(
  id: string,
  nowMs: number,
  mint: KeyMint,
): { readonly key: string; readonly secret: KeySecret } {
  const key = generateKey(id, mint.randomBytes);
  const digest = mint.digests.hmacSha256(mint.pepper.secret, key);
  return { key, secret: { digest, pepperId: mint.pepper.id, createdAt: nowMs, expiresAt: null } };
}
