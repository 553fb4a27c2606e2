/**
 * Control of a conversation on a device behind a remote server. The connection must be a row of the tenant's list that the
 * principal may use. The request leaves once, after its audit record is stored.
 */
import {
  allowsDevice,
  type DecodedRequest,
  isUnrepeatableCommand,
  type PlainResponse,
  problemResponse,
} from "@letta-environments/schema";
import { errorCodeOf } from "../../http/response.ts";
import { neverAborted } from "../../lib/deadline.ts";
import { maxRowAgeMs } from "../connections.ts";
import type { ExtensionCall, RemoteTools } from "../remote.ts";
import { recordOf, refuseLate } from "../upstream.ts";

/** Says that a command must not be repeated, unless a code of ours shows that nothing was sent. */
function forbidUnsafeRepeat(command: DecodedRequest, response: PlainResponse): PlainResponse {
  const code = isUnrepeatableCommand(command) ? errorCodeOf(response) : null;
  if (code !== "control_unknown" && code !== "upstream_error") return response;
  return { ...response, headers: { ...response.headers, "x-should-retry": "false" } };
}

/** Runs a control operation and returns the response for the caller. */
export async function controlRemote(
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
