/**
 * Sessions of the web console. A page signs in with a gateway key or with a one-time link, and receives a cookie with an additional
 * secret of that key (`keys/sign-in.ts`). The pipeline treats a request with the cookie like one with `Authorization: Bearer` and that
 * secret: the same authentication, authorisation, limits and audit. The cookie counts only for requests of the console's own page.
 */
import { type PlainResponse, problemResponse } from "@letta-environments/schema";
import { verifyKey } from "../auth/gateway-key.ts";
import { AuditUnavailableError } from "../audit/store.ts";
import type { GatewayPrincipal } from "../auth/authentication.ts";
import type { GatewayRequest } from "../http/gateway-request.ts";
import { failureResponse } from "../http/response.ts";
import { parseKeyId } from "../keys/key-format.ts";
import type { KeyRecord } from "../keys/key-record.ts";
import { endSession } from "../keys/sign-in.ts";
import { recordRefusal } from "../limits/response.ts";
import { isSameOrigin, readSessionCookie, requestHost, sessionCookie, sessionCookieName } from "./cookie.ts";
import {
  type ConsoleConfig,
  type ConsoleSessionPorts,
  type SessionFeatures,
  type SessionRequest,
  limitSession,
  showSession,
  withCookie,
} from "./session-request.ts";
import { createSignIn } from "./sign-in.ts";

/** The header in which the page names the key that it shows. */
const pageKeyHeader = "x-console-key";

/** Signs pages of the console in and out, and turns their cookies into credentials. */
export interface ConsoleSessions {
  /**
   * Returns a request of the console's page as a program with the session's secret would send it: with `Authorization`, and without
   * `Origin` and `Cookie`. Every other request is returned unchanged, and its cookies are ignored.
   */
  accept(request: GatewayRequest): GatewayRequest;
  /** Signs in, reads the session or signs out. */
  handle(received: SessionRequest, features: SessionFeatures): Promise<PlainResponse>;
}

/** Creates the {@link ConsoleSessions} of a gateway. */
export function createConsoleSessions(ports: ConsoleSessionPorts, config: ConsoleConfig): ConsoleSessions {
  const signIn = createSignIn(ports, config);

  function credentialOf(request: GatewayRequest): string | null {
    const host = requestHost(request);
    if (host === null || !isSameOrigin(request, host, config.publicUrl)) return null;
    return readSessionCookie(request, sessionCookieName(request, host));
  }

  function accept(request: GatewayRequest): GatewayRequest {
    if (request.header("authorization") !== null || request.header("cookie") === null) return request;
    const secret = credentialOf(request);
    if (secret === null) return request;
    // Without a key it gets 401 everywhere, as after the end of the session.
    return withCookie(request, isOfOtherKey(request, secret) ? null : secret);
  }

  async function signOut(principal: GatewayPrincipal): Promise<void> {
    const { keyId, tenant, credentialId } = principal;
    const end = (record: KeyRecord): KeyRecord | null => endSession(record, credentialId ?? "", ports.clock.now());
    const current = await ports.keyStore.find(keyId);
    // If the session has ended meanwhile, nothing changes and nothing is recorded.
    if (current === null || end(current) === null) return;
    const store = ports.keyStoreFor({ kind: "key", keyId, tenant });
    await store.update(keyId, (record) => end(record) ?? record);
  }

  /** Ends the session of a replaced cookie, which no browser has any more. Any other credential in the cookie stays valid. */
  async function endReplaced(secret: string): Promise<void> {
    const { keyStore, pepper, digests } = ports;
    const record = await keyStore.find(parseKeyId(secret) ?? "");
    const verified = record === null ? null : verifyKey(secret, record, pepper, digests);
    if (verified?.kind === "valid" && verified.principal.isSession === true) await signOut(verified.principal);
  }

  /** Reports a failure that changes nothing for the caller. The audited store has reported its own. */
  function reportFailure(requestId: string, cause: unknown): void {
    if (!(cause instanceof AuditUnavailableError)) failureResponse(requestId, cause, ports.telemetry);
  }

  async function handle({ request, state }: SessionRequest, features: SessionFeatures): Promise<PlainResponse> {
    const operation = operations.get(request.method) ?? null;
    state.operation = operation;
    const host = requestHost(request);
    if (host === null || !isSameOrigin(request, host, config.publicUrl)) return otherOrigin;
    if (operation === null) return wrongMethod;
    const cookieName = sessionCookieName(request, host);
    const secret = readSessionCookie(request, cookieName);
    if (operation === "signIn") {
      const response = await signIn({ request, state }, cookieName, features);
      // The new session exists, and its link is spent: without this response, no browser would have it.
      if (response.status === 201 && secret !== null)
        await endReplaced(secret).catch((cause: unknown) => reportFailure(state.requestId, cause));
      return response;
    }
    // Not an error: a page reads the session before anybody has signed in.
    if (secret === null) return signedOut(cookieName);
    // The session of this page has ended. The cookie's session belongs to another tab.
    if (isOfOtherKey(request, secret)) return { status: 204, headers: {}, body: null };
    const authentication = await features.authenticateKey(withCookie(request, secret));
    if (authentication.kind === "refused") {
      // The session has ended. A key that cannot be looked up now may still be valid.
      return authentication.response.status === 401
        ? signedOut(cookieName)
        : recordRefusal(state, authentication).response;
    }
    const { principal } = authentication;
    const overLimit = await limitSession({ request, state }, principal, features, "administerKeys");
    if (overLimit !== null) return overLimit;
    if (operation === "retrieveSession")
      return showSession(await ports.keyStore.find(principal.keyId), principal.credentialId, config);
    await signOut(principal);
    return signedOut(cookieName);
  }

  return { accept, handle: (received, features) => handle(received, features).catch(auditFailure) };
}

/**
 * Whether the page of a request shows a key other than the cookie's. Tabs of one browser share the cookie: after a sign-in in one tab, the others
 * still show the previous key, and must not act with the rights of the new one.
 */
function isOfOtherKey(request: Pick<GatewayRequest, "header">, secret: string): boolean {
  const keyId = request.header(pageKeyHeader);
  return keyId !== null && keyId !== parseKeyId(secret);
}

function signedOut(cookieName: string): PlainResponse {
  return { status: 204, headers: { "set-cookie": sessionCookie("", cookieName, 0) }, body: null };
}

function auditFailure(cause: unknown): PlainResponse {
  if (cause instanceof AuditUnavailableError) return cause.response;
  throw cause;
}

// Not an object, because a method can have the name of a member that every object inherits.
const operations: ReadonlyMap<string, "signIn" | "retrieveSession" | "signOut"> = new Map([
  ["POST", "signIn"],
  ["GET", "retrieveSession"],
  ["DELETE", "signOut"],
]);

const otherOrigin: PlainResponse = problemResponse("origin_not_allowed", {
  detail: "Only the console's own page signs in here: over https:, or over http: on this machine.",
});
const wrongMethod = problemResponse("method_not_allowed", { headers: { allow: "GET, POST, DELETE" } });
