/**
 * Authenticates the sockets of viewers. Programs send a key or a token in `Authorization` or, if their WebSocket cannot send
 * headers, as `token` in the query of this path only. Web pages use a ticket, because URLs end up in histories and logs; and the
 * page must be one that may call the gateway. A ticket is not itself a credential: the credential that created it is authenticated
 * again when the ticket is redeemed, so a ticket outlives neither its key, token or session nor their permissions.
 */
import { type Principal, problemResponse, refused, ticketPrefix } from "@letta-environments/schema";
import { invalidKey, readBearerToken } from "../auth/authentication.ts";
import type { CallerAuthentication } from "../auth/caller.ts";
import type { Cors } from "../http/cors.ts";
import { type GatewayRequest, splitQuery, withHeader } from "../http/gateway-request.ts";
import type { AuthenticateRequest } from "../limits/authentication.ts";
import type { DeviceSockets } from "../ports.ts";

/** Authenticates the upgrade request of a viewer. */
export type AuthenticateViewer = (request: GatewayRequest, connectionId: string) => ReturnType<AuthenticateRequest>;

/**
 * The `Authorization` header of each caller that created a ticket, by its principal, which the embedded server keeps with the ticket. A
 * ticket without an entry is refused.
 */
export type TicketCredentials = WeakMap<Principal, string>;

/** Remembers the credential of a request that creates a ticket. */
export function keepTicketCredential(
  credentials: TicketCredentials,
  request: GatewayRequest,
  principal: Principal,
): void {
  const authorization = request.header("authorization");
  if (authorization !== null) credentials.set(principal, authorization);
}

export function createAuthenticateViewer(
  authenticate: AuthenticateRequest,
  cors: Pick<Cors, "allowsOrigin">,
  sockets: Pick<DeviceSockets, "redeemTicket"> | null,
  credentials: TicketCredentials,
): AuthenticateViewer {
  function redeem(ticket: string, connectionId: string): string | null {
    const principal = sockets?.redeemTicket?.(ticket, connectionId) ?? null;
    return principal === null ? null : (credentials.get(principal) ?? null);
  }

  return (request, connectionId) => {
    const origin = request.header("origin");
    if (origin !== null && !cors.allowsOrigin(origin)) return originNotAllowed;
    const { token } = splitQuery(request.query);
    const authorization = request.header("authorization");
    if (token === null || request.isFromCookie === true || isToken(authorization, token)) return authenticate(request);
    // Two credentials in one request are none: two readers could pick different ones.
    if (authorization !== null) return authenticate(withAuthorization(request, `Bearer ${token}, ${authorization}`));
    const redeemed = token.startsWith(`${ticketPrefix}-`) ? redeem(token, connectionId) : null;
    if (redeemed !== null) return authenticate(withAuthorization(request, redeemed));
    return origin === null ? authenticate(withAuthorization(request, `Bearer ${token}`)) : ticketRequired;
  };
}

function isToken(authorization: string | null, token: string): boolean {
  const credentials = readBearerToken(authorization);
  return credentials.kind === "token" && credentials.token === token;
}

function withAuthorization(request: GatewayRequest, authorization: string): GatewayRequest {
  return withHeader(request, (name) => (name === "authorization" ? authorization : request.header(name)), "");
}

const originNotAllowed: CallerAuthentication = refused(problemResponse("origin_not_allowed"));

/** It does not give the reason, as for any other credential. */
const ticketRequired: CallerAuthentication = { kind: "refused", response: invalidKey, reason: "ticket_invalid" };
