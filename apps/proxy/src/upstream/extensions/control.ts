/**
 * Control of a conversation on a device behind a remote server. The connection must be a row of the tenant's list that the
 * principal may use. The request leaves once, after its audit record is stored.
 */
import type { Clock } from "@letta-environments/platform";
import { allowsDevice, type PlainResponse, problemResponse } from "@letta-environments/schema";
import type { UpstreamRequest } from "../../ports.ts";
import { type ConnectionLookup, type LookupReads, maxRowAgeMs } from "../connections.ts";
import type { CallRemote } from "../remote-call.ts";
import { neverAborted, recordOf, refuseLate, type UpstreamCall } from "../upstream.ts";

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
    const refusal = (await recordOf(call).start(found.row.deviceId)) ?? refuseLate(call, clock);
    if (refusal !== null) return refusal;
    // It has left: the caller's end does not take it back.
    return (await callRemote(endpoint, request, { atMs: deadline.atMs, signal: neverAborted })).response;
  };
}
