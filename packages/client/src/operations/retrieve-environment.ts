import type { Environment } from "@letta-environments/schema";
import { findEnvironmentMismatch, isRecord } from "@letta-environments/schema/guards";
import { type PendingCall, pendingCall } from "../pending-call.ts";
import type { Transport } from "../transport.ts";
import type { RequestOptions } from "../transport-options.ts";
import type { TransportRequest } from "../transport-request.ts";
import { encodeIdentifier } from "./encode-identifier.ts";

/** Reads one environment by its `deviceId`. Rejects with a `LettaEnvironmentsError`. */
export function retrieveEnvironment(
  transport: Transport,
  deviceId: string,
  options?: RequestOptions,
): PendingCall<Environment> {
  return pendingCall(async () => transport.send(retrieveRequest(deviceId), options));
}

function retrieveRequest(deviceId: string): TransportRequest<Environment> {
  return {
    operation: "retrieveEnvironment",
    path: `/v1/environments/${encodeIdentifier("deviceId", deviceId)}`,
    safety: "read",
    isUsable: (value): value is Environment => isRecord(value) && "deviceId" in value,
    findMismatch: findEnvironmentMismatch,
  };
}
