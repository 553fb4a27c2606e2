/** Operations of extensions at a remote upstream. A new one does not compile until it is handled here. */
import { allowsAgent, problemResponse } from "@letta-environments/schema";
import { retrieveLoggedMessage } from "../../idempotency/message-status.ts";
import type { ForwardExtension, RemoteTools } from "../remote.ts";
import { listRemoteApprovals, presentApprovals, reachesAllApprovals } from "./approvals.ts";
import { controlRemote } from "./control.ts";
import { type AuditFor, changeRemoteDevice } from "./devices.ts";
import { presentLastRuntime } from "./last-runtime.ts";
import { listRemoteMessages } from "./messages.ts";

/** Prepares the operations of extensions. */
export function connectRemoteExtensions(tools: RemoteTools, auditFor: AuditFor): ForwardExtension {
  const { callRemote, sends, sha256 } = tools;
  return async (extension) => {
    const { call, decoded, request, readUntil } = extension;
    const { endpoint: own, principal, deadline } = call;
    switch (decoded.operation) {
      case "listMessages":
        return listRemoteMessages(tools, decoded, extension);
      case "retrieveMessage":
        return retrieveLoggedMessage(sends, decoded, principal);
      case "retrieveLastRuntime":
        // As an unknown conversation.
        if (!allowsAgent(principal, decoded.params.agentId)) return problemResponse("environment_not_found");
        return presentLastRuntime(principal, (await callRemote(own, request, deadline)).response, readUntil(deadline));
      case "updateEnvironment":
      case "removeEnvironment":
        return changeRemoteDevice({ ...tools, auditFor }, decoded, extension);
      case "stopTurn":
      case "changeMode":
      case "changeDirectory":
      case "resumeQueue":
      case "removeQueueItem":
        return controlRemote(tools, decoded.params.connectionId, extension);
      case "listApprovals":
        return reachesAllApprovals(principal)
          ? presentApprovals((await callRemote(own, request, deadline)).response)
          : listRemoteApprovals(principal, decoded.query, readUntil(deadline), sha256);
      case "streamEvents":
      case "openViewerSocket":
      case "createViewerTicket":
        // A remote server has its own endpoints for viewers.
        return problemResponse("endpoint_not_found");
    }
  };
}
