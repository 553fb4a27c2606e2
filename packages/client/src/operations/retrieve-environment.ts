import type { Environment } from "@letta-environments/schema";
import { isRecord } from "../is-record.ts";
import { type PendingCall, pendingCall } from "../pending-call.ts";
import { findEnvironmentMismatch } from "@letta-environments/schema/guards";
import type { Transport } from "../transport.ts";
import type { RequestOptions } from "../transport-options.ts";
import type { TransportResponse } from "../transport-request.ts";
import { encodeIdentifier } from "./encode-identifier.ts";

/** Reads one environment by its `deviceId`. Rejects with a `LettaEnvironmentsError`. */
export function retrieveEnvironment(
  transport: Transport,
  deviceId: string,
  options?: RequestOptions,
): PendingCall<Environment> {
  return pendingCall(retrieve(transport, deviceId, options));
}

async function retrieve(
  transport: Transport,
  deviceId: string,
  options?: RequestOptions,
): Promise<TransportResponse<Environment>> {
  return transport.send(
    {
      operation: "retrieveEnvironment",
      method: "GET",
      path: `/v1/environments/${encodeIdentifier("deviceId", deviceId)}`,
      repeatSafety: "read",
      isUsable,
      findMismatch: findEnvironmentMismatch,
    },
    options,
  );
}

function isUsable(value: unknown): value is Environment {
  return isRecord(value) && "deviceId" in value;
}
