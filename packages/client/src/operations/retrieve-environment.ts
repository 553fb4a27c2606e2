import type { Environment } from "@letta-environments/schema";
import { findEnvironmentMismatch } from "@letta-environments/schema/guards";
import { type PendingCall, pendingCall } from "../pending-call.ts";
import type { Transport } from "../transport.ts";
import type { RequestOptions } from "../transport-options.ts";
import { pathOfEnvironment } from "./path-of-environment.ts";

/** Reads one environment by its `deviceId`. Rejects with a `LettaEnvironmentsError`. */
export const retrieveEnvironment = (
  transport: Transport,
  deviceId: string,
  options?: RequestOptions,
): PendingCall<Environment> =>
  pendingCall(async () =>
    transport.send<Environment>(
      {
        operation: "retrieveEnvironment",
        path: pathOfEnvironment("deviceId", deviceId),
        safety: "read",
        findMismatch: findEnvironmentMismatch,
      },
      options,
    ),
  );
