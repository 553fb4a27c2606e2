/** Reads one environment, and builds the paths below `/v1/environments/`. */
import type { Environment } from "@letta-environments/schema";
import { findEnvironmentMismatch } from "@letta-environments/schema/guards";
import { checkIdentifier } from "../check.ts";
import type { RequestOptions } from "../options.ts";
import { type PendingCall, pendingCall } from "../request.ts";
import type { Transport } from "../transport.ts";

/** Reads one environment by its `deviceId`. Rejects with a `LettaEnvironmentsError`. */
export function retrieveEnvironment(
  transport: Transport,
  deviceId: string,
  options?: RequestOptions,
): PendingCall<Environment> {
  return pendingCall(async () =>
    transport.send<Environment>(
      {
        operation: "retrieveEnvironment",
        path: environmentPath("deviceId", deviceId),
        safety: "read",
        findMismatch: findEnvironmentMismatch,
        needed: { id: "" },
      },
      options,
    ),
  );
}

/**
 * Path of an environment by its device or its connection. The characters that ids consist of need no encoding.
 *
 * @throws LettaEnvironmentsError `invalid_argument`
 */
export function environmentPath(member: "deviceId" | "connectionId", id: string): `/${string}` {
  checkIdentifier(member, id);
  return `/v1/environments/${id}`;
}
