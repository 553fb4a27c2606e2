/**
 * Sign-in of web pages, as changes of a key. A session is an additional secret of its key: it always has the current rights of the key,
 * ends with the key, and only its digest is stored. A sign-in link is a key without an ordinary secret; its secret authenticates
 * nothing, and can be exchanged for a session once. Every function is pure, and runs inside the atomic update of a key store.
 */
import type { Digests, Pepper } from "../ports.ts";
import { createKey, type KeyMint, type KeyRequest, keyState, type MintedKey } from "./key-lifecycle.ts";
import { credentialIdOf, type KeyRecord, type KeySecret, withRequirements } from "./key-record.ts";

/** How long a session lasts, in milliseconds. */
export const sessionMs: number = 12 * 3_600_000;

/** How long a sign-in link can be used, in milliseconds. */
export const linkMs: number = 10 * 60_000;

/** The most sessions that a key can have at the same time; one more ends the oldest. */
export const maxSessions = 10;

/** Creates the key of a sign-in link. The key in clear belongs in the fragment of the link and nowhere else. */
export function createLink(request: KeyRequest, nowMs: number, mint: KeyMint): MintedKey {
  const { key, record } = createKey(request, nowMs, mint);
  const secrets = record.secrets.map((secret): KeySecret => ({ ...secret, use: "link", expiresAt: nowMs + linkMs }));
  return { key, record: withRequirements({ ...record, secrets }) };
}

/**
 * Adds a session to a key and drops those that have ended.
 *
 * @param endsAt when the secret used to sign in expires, in epoch milliseconds; a session does not outlive it. `null`: never
 */
export function addSession(
  record: KeyRecord,
  secret: KeySecret,
  nowMs: number,
  endsAt: number | null = null,
): KeyRecord {
  const sessions = record.secrets.filter(({ use, expiresAt }) => use === "session" && (expiresAt ?? 0) > nowMs);
  const others = record.secrets.filter(({ use }) => use !== "session");
  const session: KeySecret = { ...secret, use: "session", expiresAt: Math.min(nowMs + sessionMs, endsAt ?? Infinity) };
  return { ...record, secrets: [...others, session, ...sessions.slice(0, maxSessions - 1)] };
}

/** Ends the session of a key that has this credential id. The key of a link is revoked with its only session. `null`: the key has no such session. */
export function endSession(record: KeyRecord, credentialId: string, nowMs: number): KeyRecord | null {
  const secrets = record.secrets.filter(
    (secret) => secret.use !== "session" || credentialIdOf(secret) !== credentialId,
  );
  if (secrets.length === record.secrets.length) return null;
  if (secrets.length > 0) return { ...record, secrets };
  return { ...record, revokedAt: record.revokedAt ?? nowMs };
}

/**
 * Exchanges the secret of a link for a session. `null`: the key has no such link, because it was used, has expired, or never was one.
 */
export function redeemLink(
  record: KeyRecord,
  link: string,
  session: KeySecret,
  { digests, pepper, nowMs }: { readonly digests: Digests; readonly pepper: Pepper; readonly nowMs: number },
): KeyRecord | null {
  const presented = digests.hmacSha256(pepper.secret, link);
  const isPresented = ({ use, digest, expiresAt }: KeySecret): boolean =>
    use === "link" && digests.constantTimeEqual(presented, digest) && nowMs < (expiresAt ?? 0);
  if (keyState(record, nowMs) !== "active" || !record.secrets.some(isPresented)) return null;
  const rest = record.secrets.filter((secret) => !isPresented(secret));
  return withRequirements(addSession({ ...record, secrets: rest }, session, nowMs));
}
