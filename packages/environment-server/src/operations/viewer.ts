/**
 * The sockets of viewers: people and programs that watch a device and control it over the device protocol. A viewer is refused
 * before the handshake, with the same responses as a send, and the device is looked up again for each of its frames.
 */
import {
  allowsAgent,
  buildPath,
  endpoints,
  jsonResponse,
  matchEndpoint,
  type OperationInput,
  type PlainRequest,
  type PlainResponse,
  type Principal,
  problemResponse,
  refused,
  type UpgradeDecision,
} from "@letta-environments/schema";
import { maxTicketsPerKey, maxViewersPerKey, maxViewerWaitingBytes, ticketLifetimeMs } from "../limits.ts";
import type { DevicePath, ViewerRequests } from "../viewers/ports.ts";
import type { RequestContext, ServerContext } from "./context.ts";
import { commandTargetOf, refuseForeignConversation } from "./conversations/key-limits.ts";
import { findForAction, findSocketOf, findPermitted, findSettled, unreachableResponse } from "./reach.ts";

/**
 * Decides on the upgrade request of a viewer.
 *
 * Refusals: 403 `agent_not_allowed`, 404 `connection_not_found` (unknown, of another tenant, or out of the key's reach), 409
 * `device_offline` and `connection_replaced`, 429 `too_many_viewers`.
 */
export async function decideViewerUpgrade(
  server: ServerContext,
  { params, query }: OperationInput<"openViewerSocket">,
  principal: Principal,
  requests: ViewerRequests,
): Promise<UpgradeDecision> {
  const { agentId = null, conversationId = null } = query;
  const refusal = refuseViewer(query, principal);
  if (refusal !== null) return refused(refusal);
  const found = await findPermitted(server, params.connectionId, principal);
  if (found.kind === "refused") return found;
  const { connectionId, environment } = found.record;
  if (findSocketOf(server, found.record) === null) return refused(await unreachableResponse(server, found.record));
  if (server.viewers.isFull(principal)) return refused(tooManyViewers);
  if (server.isClosing()) return refused(problemResponse("shutting_down"));
  const access = {
    principal,
    environmentId: environment.id,
    connectionId,
    deviceId: environment.deviceId,
    connectionName: environment.connectionName,
    agentId,
    conversationId,
    requests,
    findDevice: () => findDevice(server, connectionId, principal),
    writeUnchecked(text: string) {
      const connection = findSocketOf(server, found.record);
      if (connection !== null) server.hub.send(connection, text);
    },
    // The tags of a device can change without a change of the key.
    isPermitted: principal.deviceTags
      ? async () => (await findPermitted(server, connectionId, principal)).kind === "found"
      : null,
  };
  return {
    kind: "accepted",
    // Apart from the devices of the key.
    owner: { tenant: principal.tenant, keyId: JSON.stringify(["viewers", principal.keyId]) },
    maxWaitingBytes: maxViewerWaitingBytes,
    attach: (socket) => server.viewers.open(access, socket),
  };
}

/** Returns the refusal of a viewer that names an agent outside the list of its key; `null` for any other. */
export function refuseViewer(
  { agentId }: OperationInput<"openViewerSocket">["query"],
  principal: Principal,
): PlainResponse | null {
  if (agentId === undefined || allowsAgent(principal, agentId)) return null;
  return problemResponse("agent_not_allowed", { detail: "The gateway key may not watch this agent." });
}

/**
 * The requests of a viewer at a server without a host that limits and records them.
 *
 * @param path of the upgrade request, whose connection every call uses
 */
export function directRequests(
  path: string,
  perform: (request: PlainRequest, signal: AbortSignal) => Promise<PlainResponse>,
): ViewerRequests {
  const match = matchEndpoint("GET", path);
  const { connectionId = "" } = match.kind === "matched" ? match.params : {};
  return {
    perform({ operation, itemId, query, body }, keyEnded) {
      const endpoint = endpoints[operation];
      const request = {
        method: endpoint.method,
        path: buildPath(endpoint, { connectionId, itemId: itemId ?? "" }),
        query: new URLSearchParams(query).toString(),
        headers: { "content-type": "application/json" },
        body: body === null ? null : new TextEncoder().encode(JSON.stringify(body)),
      };
      return perform(request, keyEnded);
    },
    admit: () => Promise.resolve(null),
    refused: () => undefined,
  };
}

/** Creates a ticket for a socket, for callers that may open it. */
export async function createViewerTicket(
  server: ServerContext,
  { params }: OperationInput<"createViewerTicket">,
  principal: Principal,
  context: RequestContext,
): Promise<PlainResponse> {
  const found = await findForAction(server, params.connectionId, principal, context);
  if (found.kind === "refused") return found.response;
  const ticket = server.tickets.issue(principal, params.connectionId);
  if (ticket === null) {
    const detail = `Too many unused tickets: at most ${maxTicketsPerKey} per gateway key. Tickets expire after 60 seconds.`;
    return problemResponse("too_many_viewers", { detail });
  }
  return jsonResponse(200, { ticket, expiresAt: server.clock.now() + ticketLifetimeMs });
}

/** Finds the device of a viewer's frame again: the permissions of the key and the socket can have changed since the last frame. */
async function findDevice(server: ServerContext, connectionId: string, principal: Principal): Promise<DevicePath> {
  const found = await findPermitted(server, connectionId, principal);
  if (found.kind === "refused") return found;
  const { record } = found;
  const connection = await findSettled(server, record);
  if (server.isClosing()) return refused(problemResponse("shutting_down"));
  if (connection === null) return refused(await unreachableResponse(server, record));
  const target = commandTargetOf(server.hub, connection);
  return {
    kind: "open",
    refuseConversation: (conversation) =>
      refuseForeignConversation(server, principal, conversation, connection, record),
    write(text, mode) {
      if (mode !== null) return server.commands.writeMode(target, mode, text);
      return target.write(text) ? "written" : "unsent";
    },
  };
}

const tooManyViewers = problemResponse("too_many_viewers", {
  detail: `The gateway key has ${maxViewersPerKey} viewers already.`,
});
