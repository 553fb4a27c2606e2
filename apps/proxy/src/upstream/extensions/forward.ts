/** Operations of extensions at a remote upstream. A new one does not compile until it is handled here. */
import { allowsAgent, type PlainResponse, problemResponse } from "@letta-environments/schema";
import { retrieveLoggedMessage } from "../../idempotency/message-status.ts";
import type { ForwardExtension, RemoteTools } from "../remote.ts";
import { listRemoteApprovals, presentApprovals, reachesAllApprovals } from "./approvals.ts";
import { createControlRemote } from "./control.ts";
import { createChangeRemoteDevice } from "./devices.ts";
import { presentLastRuntime } from "./last-runtime.ts";
import { createListRemoteMessages } from "./messages.ts";

/** Prepares the operations of extensions. */
export function connectRemoteExtensions({
  clock,
  connections,
  callRemote,
  sends,
  sha256,
  auditFor,
}: RemoteTools): ForwardExtension {
  const changeDevice = createChangeRemoteDevice({ callRemote, auditFor });
  const listMessages = createListRemoteMessages({ connections, callRemote });
  const control = createControlRemote({ clock, connections, callRemote });

  return ({ call, decoded, request, readUntil }): Promise<PlainResponse> => {
    const { endpoint: own, principal, deadline } = call;
    switch (decoded.operation) {
      case "listMessages": {
        const { params, query } = decoded;
        const reads = { deadline, readUntil };
        return listMessages({ call, connectionId: params.connectionId, query, request, reads });
      }
      case "retrieveMessage":
        return retrieveLoggedMessage(sends, decoded, principal);
      case "retrieveLastRuntime":
        // As an unknown conversation.
        if (!allowsAgent(principal, decoded.params.agentId)) return Promise.resolve(conversationUnknown);
        return callRemote(own, request, deadline).then(({ response }) =>
          presentLastRuntime(principal, response, readUntil(deadline)),
        );
      case "updateEnvironment":
      case "removeEnvironment":
        return changeDevice({ call, input: decoded, request, read: readUntil(deadline) });
      case "stopTurn":
      case "changeMode":
      case "changeDirectory":
      case "resumeQueue":
      case "removeQueueItem":
        return control({ call, connectionId: decoded.params.connectionId, request, reads: { deadline, readUntil } });
      case "listApprovals":
        return reachesAllApprovals(principal)
          ? callRemote(own, request, deadline).then(({ response }) => presentApprovals(response))
          : listRemoteApprovals(principal, decoded.query, readUntil(deadline), sha256);
      case "streamEvents":
      case "openViewerSocket":
      case "createViewerTicket":
        // A remote server has endpoints of its own for viewers.
        return Promise.resolve(problemResponse("endpoint_not_found"));
    }
  };
}

const conversationUnknown = problemResponse("environment_not_found");
