/** Operations of extensions at a remote upstream. A new one does not compile until it is handled here. */
import {
  allowsAgent,
  allowsDevice,
  type DecodedRequest,
  endpoints,
  isUnrepeatableCommand,
  type LastRuntime,
  LastRuntimeSchema,
  type PlainResponse,
  type PresentableEnvironment,
  presentEnvironment,
  type Principal,
  problemResponse,
} from "@letta-environments/schema";
import * as v from "valibot";
import { errorCodeOf } from "../../http/response.ts";
import { neverAborted } from "../../lib/deadline.ts";
import { parseJsonObject } from "../../lib/json.ts";
import { maxRowAgeMs } from "../connections.ts";
import { isLimitedToDevices, readDevice } from "../environments.ts";
import type { ReadRemote } from "../remote-call.ts";
import type { ExtensionCall, ForwardExtension, RemoteTools } from "../remote.ts";
import { recordOf, refuseLate } from "../upstream.ts";
import { refuseContent } from "../validate-response.ts";
import { listRemoteApprovals, presentApprovals, reachesAllApprovals } from "./approvals.ts";
import { type AuditFor, changeRemoteDevice } from "./devices.ts";
import { retrieveLoggedMessage } from "./message-status.ts";
import { listRemoteMessages } from "./messages.ts";

/** Prepares the operations of extensions. */
export function connectRemoteExtensions(tools: RemoteTools, auditFor: AuditFor): ForwardExtension {
  const { callRemote, sha256 } = tools;
  return async (extension) => {
    const { call, decoded, request, readUntil } = extension;
    const { endpoint: own, principal, deadline } = call;
    switch (decoded.operation) {
      case "listMessages":
        return listRemoteMessages(tools, decoded, extension);
      case "retrieveMessage":
        return retrieveLoggedMessage(tools, decoded, extension);
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

/**
 * Controls a conversation on a device behind a remote server. The connection must be a row of the tenant's list that the principal may use. The request
 * leaves once, after its audit record is stored.
 */
async function controlRemote(
  { clock, connections, callRemote }: RemoteTools,
  connectionId: string,
  { call, decoded, request, readUntil }: ExtensionCall,
): Promise<PlainResponse> {
  const { principal, endpoint, deadline } = call;
  const found = await connections.find(principal, connectionId, { deadline, readUntil }, maxRowAgeMs);
  if (found.kind === "refused") return found.response;
  if (!allowsDevice(principal, found.row)) return problemResponse("connection_not_found");
  const refusal = (await recordOf(call).start(found.row.deviceId)) ?? refuseLate(call, clock);
  if (refusal !== null) return refusal;
  // It was sent, so it is not cancelled when the caller disconnects.
  const { response } = await callRemote(endpoint, request, { atMs: deadline.atMs, signal: neverAborted });
  return forbidUnsafeRepeat(decoded, response);
}

/** Says that a command must not be repeated, unless a code of ours shows that nothing was sent. */
function forbidUnsafeRepeat(command: DecodedRequest, response: PlainResponse): PlainResponse {
  const code = isUnrepeatableCommand(command) ? errorCodeOf(response) : null;
  if (code !== "control_unknown" && code !== "upstream_error") return response;
  return { ...response, headers: { ...response.headers, "x-should-retry": "false" } };
}

/**
 * Shows the device that ran a conversation last, to principals that may use it. A device out of reach looks like a conversation that has never run.
 * Where tags or names decide, the device itself is read. Another server may show members of a row here, so they are hidden as those of rows are.
 */
async function presentLastRuntime(
  principal: Principal,
  response: PlainResponse,
  read: ReadRemote,
): Promise<PlainResponse> {
  if (response.status !== endpoints.retrieveLastRuntime.successStatus) return response;
  const runtime = parseJsonObject(response.body);
  if (!v.is(LastRuntimeSchema, runtime)) return refuseContent();
  if (isLimitedToDevices(principal)) {
    const device = await readDevice(runtime.deviceId, read);
    if (device.kind === "refused") return device.response;
    if (device.row === null || !allowsDevice(principal, device.row)) return problemResponse("environment_not_found");
  }
  const presented = presentEnvironment<LastRuntime & PresentableEnvironment>(principal, runtime);
  if (presented === runtime) return response;
  // Only rows have these two.
  const { organizationId: _organizationId, podId: _podId, ...shown } = presented;
  return { ...response, body: JSON.stringify(shown) };
}
