/** Sign-in at the console: exchanges a gateway key, or the secret of a one-time link, for a session in a cookie. */
import { type PlainResponse, problemResponse } from "@letta-environments/schema";
import { type Authentication, invalidTokenChallenge } from "../auth/authentication.ts";
import { verifyKey } from "../auth/gateway-key.ts";
import type { GatewayRequest } from "../http/gateway-request.ts";
import { refuseUnread } from "../http/validate-request.ts";
import { parseKeyId } from "../keys/key-format.ts";
import { type KeyMint, mintSecret } from "../keys/key-lifecycle.ts";
import { credentialIdOf, type KeyRecord, type KeySecret } from "../keys/key-record.ts";
import { addSession, redeemLink, sessionMs } from "../keys/sign-in.ts";
import { parseJsonObject } from "../lib/json.ts";
import { type AuthenticateRequest, createAuthenticateRequest, type FailureLimits } from "../limits/authentication.ts";
import { recordRefusal } from "../limits/response.ts";
import { sessionCookie } from "./cookie.ts";
import {
  type ConsoleConfig,
  type ConsoleSessionPorts,
  type OpenedSession,
  principalOf,
  type SessionFeatures,
  type SessionRequest,
  limitSession,
  showSession,
  withSecret,
} from "./session-request.ts";

/** Responds to a sign-in with a cookie of this name. Rejects when a store or the audit log fails. */
export type SignIn = (
  received: SessionRequest,
  cookieName: string,
  features: SessionFeatures,
) => Promise<PlainResponse>;

export function createSignIn(ports: ConsoleSessionPorts, config: ConsoleConfig): SignIn {
  const { clock, digests, keyStore, keyStoreFor, pepper, randomBytes } = ports;
  const mint: KeyMint = { digests, pepper, randomBytes };

  /** Adds a session to the key inside the store's atomic step, which verifies the credential again. */
  async function open(
    keyId: string,
    change: (record: KeyRecord, session: KeySecret, nowMs: number) => KeyRecord | null,
  ): Promise<OpenedSession | null> {
    const present = await keyStore.find(keyId);
    if (present === null) return null;
    const nowMs = clock.now();
    const { key, secret } = mintSecret(keyId, nowMs, mint);
    // Checked first, so that a wrong link is not written to the audit log as a change.
    if (change(present, secret, nowMs) === null) return null;
    try {
      const record = await keyStoreFor({ kind: "key", keyId, tenant: present.tenant }).update(keyId, (current) => {
        const changed = change(current, secret, nowMs);
        if (changed === null) throw new NotAccepted();
        return changed;
      });
      return record === null ? null : { secret: key, record, credentialId: credentialIdOf(secret) };
    } catch (error) {
      if (error instanceof NotAccepted) return null;
      throw error;
    }
  }

  function byLink(link: string): Promise<OpenedSession | null> {
    const keyId = parseKeyId(link);
    if (keyId === null) return Promise.resolve(null);
    return open(keyId, (record, session, nowMs) => redeemLink(record, link, session, { digests, pepper, nowMs }));
  }

  function byKey(key: string): Promise<OpenedSession | null> {
    return open(parseKeyId(key) ?? "", (record, session, nowMs) => {
      const verified = verifyKey(key, record, pepper, digests);
      // A session must not prolong itself. A replaced secret may be known to others, and its session would administer like the key.
      if (verified.kind !== "valid" || verified.isReplaced) return null;
      return addSession(record, session, nowMs, verified.expiresAt);
    });
  }

  return async ({ request, state }, cookieName, features) => {
    const given = await readCredential(request, features);
    if ("status" in given) return given;
    const opened: { session: OpenedSession | null } = { session: null };
    // Both ways count failures by the client's address, as every other authentication does.
    const authenticate =
      given.kind === "key"
        ? features.authenticateSignIn
        : linkAuthenticator(() => byLink(given.value), features.limits?.signIns ?? null, opened);
    const authentication = await authenticate(withSecret(request, given.value));
    if (authentication.kind === "refused") return recordRefusal(state, authentication).response;
    if (given.kind === "key") {
      // A link needs no such limit, because it works only once.
      const overLimit = await limitSession({ request, state }, authentication.principal, features, "signIn");
      if (overLimit !== null) return overLimit;
      opened.session = await byKey(given.value);
    }
    if (opened.session === null) {
      state.refusalReason = "key_cannot_sign_in";
      return keyRefused;
    }
    state.principal = principalOf(opened.session);
    return signedIn(opened.session, cookieName, config);
  };
}

/** Authenticates a link in place of a key, by opening its session. */
function linkAuthenticator(
  open: () => Promise<OpenedSession | null>,
  limits: FailureLimits | null,
  opened: { session: OpenedSession | null },
): AuthenticateRequest {
  const authenticate = async (_authorization: string | null, cachedOnly = false): Promise<Authentication> => {
    opened.session = cachedOnly ? null : await open();
    return opened.session === null ? linkRefused : { kind: "authenticated", principal: principalOf(opened.session) };
  };
  return createAuthenticateRequest({ authenticate }, limits);
}

function signedIn(session: OpenedSession, cookieName: string, config: ConsoleConfig): PlainResponse {
  const response = showSession(session.record, session.credentialId, config, 201);
  const cookie = sessionCookie(session.secret, cookieName, sessionMs / 1_000);
  return { ...response, headers: { ...response.headers, "set-cookie": cookie } };
}

/** Thrown inside the store's atomic step, so that nothing is changed. */
class NotAccepted extends Error {
  override readonly name = "NotAccepted";
}

/** The longest body of a sign-in, in bytes. */
const maxBodyBytes = 1_024;

type GivenCredential = { readonly kind: "key" | "link"; readonly value: string };

async function readCredential(
  request: GatewayRequest,
  { bodyMemory: budget }: Pick<SessionFeatures, "bodyMemory">,
): Promise<GivenCredential | PlainResponse> {
  // Forms of other pages cannot send JSON.
  if (!/^application\/json(?:;|$)/i.test(request.header("content-type") ?? "")) return notJson;
  // The body is small, but in chunks of one byte each it takes half a megabyte of memory.
  const body = await request.readBody({ maxBytes: maxBodyBytes, memory: { budget, owner: "unverified" } });
  if (typeof body === "string") return refuseUnread(body, maxBodyBytes);
  const members = body === null ? null : parseJsonObject(body);
  for (const kind of ["key", "link"] as const) {
    const value = members?.[kind];
    if (typeof value === "string" && /^[\x21-\x7e]{1,256}$/.test(value)) return { kind, value };
  }
  return noCredential;
}

const linkRefused: Authentication = {
  kind: "refused",
  reason: "link_invalid",
  response: problemResponse("invalid_key", {
    detail:
      "The sign-in link was used before, is older than ten minutes, or belongs to another gateway. " +
      "'letta-proxy console link' prints a new one.",
    headers: invalidTokenChallenge,
  }),
};
const keyRefused = problemResponse("invalid_key", {
  detail: "This key cannot sign in: a rotation has replaced its secret, it is a session itself, or it has just ended.",
  headers: invalidTokenChallenge,
});
const notJson = problemResponse("unsupported_media_type");
const noCredential = problemResponse("invalid_request", {
  issues: [{ member: "body", rule: "must have a key or a link" }],
});
