/**
 * How the socket of a viewer is authenticated. Programs send a key or a token in `Authorization`, or as `token` in the query of
 * this path only, where their WebSocket cannot send headers. Web pages use a ticket, because a URL ends up in histories and logs;
 * and the page must be one that may call the gateway.
 */
import { problemResponse, ticketPrefix } from "@letta-environments/schema";
import { type GatewayPrincipal, invalidKey } from "../auth/authentication.ts";
import type { CallerAuthentication } from "../auth/caller.ts";
import type { Cors } from "../http/cors.ts";
import { type GatewayRequest, splitQuery } from "../http/gateway-request.ts";
import type { AuthenticateRequest } from "../limits/authentication.ts";
import type { MaybePromise } from "../lib/steps.ts";
import type { DeviceSockets } from "../ports.ts";

/** Authenticates the upgrade request of a viewer. */
export type AuthenticateViewer = (
  request: GatewayRequest,
  connectionId: string,
) => MaybePromise<Awaited<ReturnType<AuthenticateRequest>>>;

/** Creates an {@link AuthenticateViewer}. */
export function createAuthenticateViewer(
  authenticate: AuthenticateRequest,
  cors: Pick<Cors, "allowsOrigin">,
  sockets: Pick<DeviceSockets, "redeemTicket"> | null,
): AuthenticateViewer {
  return (request, connectionId) => {
    const origin = request.header("origin");
    if (origin !== null && !cors.allowsOrigin(origin)) return originNotAllowed;
    const { token } = splitQuery(request.query);
    // A client that can send the header is not read twice.
    if (token === null || request.header("authorization") !== null) return authenticate(request);
    const principal = token.startsWith(`${ticketPrefix}-`)
      ? (sockets?.redeemTicket?.(token, connectionId) ?? null)
      : null;
    if (principal !== null) return authenticated(principal);
    return origin === null ? authenticate(withAuthorization(request, token)) : ticketRequired;
  };
}

function withAuthorization(request: GatewayRequest, token: string): GatewayRequest {
  return {
    method: request.method,
    path: request.path,
    query: "",
    header: (name) => (name === "authorization" ? `Bearer ${token}` : request.header(name)),
    readBody: (limitBytes) => request.readBody(limitBytes),
    get signal() {
      return request.signal;
    },
    authority: request.authority,
    clientAddress: request.clientAddress,
  };
}

/** A ticket was created with the principal that the gateway authenticated, so it has the members of the gateway. */
function authenticated(principal: GatewayPrincipal): CallerAuthentication {
  return { kind: "authenticated", principal };
}

const originNotAllowed: CallerAuthentication = { kind: "refused", response: problemResponse("origin_not_allowed") };

/** It does not say why, as for any other credential. */
const ticketRequired: CallerAuthentication = { kind: "refused", response: invalidKey(), reason: "ticket_invalid" };
