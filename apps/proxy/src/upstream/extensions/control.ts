/**
 * Control of a conversation on a device behind a remote server. The connection must be a row of the tenant's list that the
 * principal may use. The request leaves once, after its audit record is stored. A server that does not know the operation answers
 * 404, which is not about the device: the gateway has just found it.
 */
import type { Clock } from "@letta-environments/platform";
import {
  allowsDevice,
  buildPath,
  endpoints,
  isSameMode,
  type PlainResponse,
  problemResponse,
} from "@letta-environments/schema";
import type { Deadline } from "../../lib/deadline.ts";
import { parseJsonObject } from "../../lib/json.ts";
import type { UpstreamRequest } from "../../ports.ts";
import { type ConnectionLookup, type LookupReads, maxRowAgeMs } from "../connections.ts";
import { type CallRemote, readRequest } from "../remote-call.ts";
import { controlRecordOf, neverAborted, refuseLate, type UpstreamCall } from "../upstream.ts";

/** A control operation, as it goes to the remote server. */
export interface RemoteControl {
  readonly call: UpstreamCall;
  readonly connectionId: string;
  readonly request: UpstreamRequest;
  readonly reads: LookupReads;
}

/** Runs a control operation and returns the response for the caller. */
export type ControlRemote = (control: RemoteControl) => Promise<PlainResponse>;

/** Creates a {@link ControlRemote}. */
export function createControlRemote({
  clock,
  connections,
  callRemote,
}: {
  readonly clock: Pick<Clock, "monotonic">;
  readonly connections: ConnectionLookup;
  readonly callRemote: CallRemote;
}): ControlRemote {
  return async ({ call, connectionId, request, reads }) => {
    const { principal, endpoint, deadline } = call;
    const found = await connections.find(principal, connectionId, reads, maxRowAgeMs);
    if (found.kind === "refused") return found.response;
    if (!allowsDevice(principal, found.row)) return problemResponse("connection_not_found");
    const refusal = (await controlRecordOf(call).start(found.row.deviceId)) ?? refuseLate(call, clock);
    if (refusal !== null) return refusal;
    // It has left: the caller's end does not take it back.
    const { response } = await callRemote(endpoint, request, { atMs: deadline.atMs, signal: neverAborted });
    return isUnknownOperation(response) ? unknownOperation : response;
  };
}

/** The conversation and the mode of a {@link setRemoteMode}. */
export interface ModeToSet {
  readonly connectionId: string;
  readonly agentId: string | undefined;
  readonly conversationId: string | null | undefined;
  readonly mode: string;
}

/**
 * Has the remote server switch a conversation to a mode before a message is sent. Returns the refusal when the device does not
 * report the mode; nothing was sent then.
 */
export async function setRemoteMode(
  callRemote: CallRemote,
  send: UpstreamRequest,
  { connectionId, agentId, conversationId, mode }: ModeToSet,
  deadline: Deadline,
): Promise<PlainResponse | null> {
  const { changeMode } = endpoints;
  const read = readRequest(send, changeMode, { connectionId }, "");
  const request: UpstreamRequest = {
    ...read,
    path: buildPath(changeMode, { connectionId }),
    headers: { ...read.headers, "content-type": "application/json" },
    body: encoder.encode(JSON.stringify({ agentId, conversationId, mode })),
  };
  const { response } = await callRemote(changeMode, request, deadline);
  const reported = response.status === 200 ? parseJsonObject(response.body)?.["mode"] : undefined;
  if (typeof reported === "string" && isSameMode(reported, mode)) return null;
  const detail = isUnknownOperation(response)
    ? "The gateway key sets the mode of the conversation first, and the upstream cannot do that. The message was not sent."
    : undefined;
  return problemResponse("mode_not_set", detail === undefined ? {} : { detail });
}

const encoder = new TextEncoder();

const unknownOperation = problemResponse("endpoint_not_found", {
  detail: "The environment server behind this gateway does not have this operation.",
});

function isUnknownOperation({ status, body }: PlainResponse): boolean {
  if (status === 405) return true;
  const code = status === 404 ? parseJsonObject(body)?.["errorCode"] : undefined;
  return code === "endpoint_not_found" || code === "upstream_error";
}
