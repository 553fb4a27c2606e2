import type { PlainResponse } from "@letta-environments/schema";
import { readBearerToken } from "../auth/bearer-token.ts";
import { parseKeyId } from "../auth/key-format.ts";
import { insufficientScope, invalidKey } from "../auth/key-refusals.ts";
import { verifyKey } from "../auth/verify-key.ts";
import type { ProxyPorts } from "../ports.ts";
import type { AdminAuthority } from "./admin-authority.ts";

/** An authority, or the answer to whoever has none. */
export type AuthorityVerdict =
  | { readonly kind: "granted"; readonly authority: AdminAuthority }
  | { readonly kind: "refused"; readonly response: PlainResponse };

/**
 * Reads the authority of a gateway key from the store, past everything that is remembered of it: a key that was revoked, disabled,
 * rotated or narrowed a moment ago administers nothing more. Nothing but a gateway key is accepted.
 */
export async function readKeyAuthority(
  authorization: string | null,
  { clock, digests, keyStore, pepper }: Pick<ProxyPorts, "clock" | "digests" | "keyStore" | "pepper">,
): Promise<AuthorityVerdict> {
  const credentials = readBearerToken(authorization);
  const token = credentials.kind === "token" ? credentials.token : "";
  const id = parseKeyId(token);
  const record = id === null ? null : await keyStore.find(id);
  const verified = record === null ? null : verifyKey(token, record, pepper, digests);
  if (record === null || verified?.kind !== "valid") return { kind: "refused", response: invalidKey() };
  const { expiresAt, isOnWayOut } = verified;
  if (expiresAt !== null && clock.now() >= expiresAt) return { kind: "refused", response: invalidKey() };
  if (!record.scopes.includes("admin")) return { kind: "refused", response: insufficientScope("admin") };
  return { kind: "granted", authority: { kind: "key", record, endsAt: expiresAt, isOnWayOut } };
}
