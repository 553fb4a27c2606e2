/** Reads a device, changes its labels and removes it. If a server lacks the changes, the error says which one is missing. */
import type { Environment, EnvironmentPatch } from "@letta-environments/schema";
import { findEnvironmentMismatch } from "@letta-environments/schema/guards";
import { checkIdentifier, checkMembers, checkRecord } from "../check.ts";
import { environmentPath, jsonHeaders, stringify } from "../encode.ts";
import type { RequestOptions } from "../options.ts";
import { type InputOf, type PendingCall, pendingCall, type TransportRequest } from "../request.ts";
import type { Transport } from "../transport.ts";
import { sendExtension } from "./extension.ts";
import { pendingSend } from "./send.ts";

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

/** Changes of the labels of a device. */
export type UpdateEnvironmentInput = InputOf<EnvironmentPatch>;

/**
 * Assigns a display name and tags to a device, and resolves with it. An absent member stays unchanged, and `null` clears it. Rejects with
 * a `LettaEnvironmentsError`.
 */
export function updateEnvironment(
  transport: Transport,
  deviceId: string,
  patch: UpdateEnvironmentInput,
  options?: RequestOptions,
): PendingCall<Environment> {
  return pendingCall(async () => {
    checkRecord("patch", patch);
    const request: TransportRequest<Environment> = {
      operation: "updateEnvironment",
      method: "PATCH",
      path: environmentPath("deviceId", deviceId),
      body: stringify("patch", patch),
      headers: jsonHeaders,
      // A repeat assigns the same labels.
      safety: "read",
      findMismatch: findEnvironmentMismatch,
      needed: { id: "" },
    };
    return sendExtension(transport, request, options);
  });
}

/** The part of a device to remove. */
export interface RemoveEnvironmentInput {
  /** `id` of the only row to remove. Leave it out to remove all rows of the device; `undefined` is refused. */
  readonly id?: string;
}

/**
 * Removes a device with all its rows, or one row. Rejects with a `LettaEnvironmentsError`. It is repeated only if the server did
 * nothing, because a repeat could remove a device that has registered again.
 */
export function removeEnvironment(
  transport: Transport,
  deviceId: string,
  row: RemoveEnvironmentInput = {},
  options?: RequestOptions,
): PendingCall<void> {
  return pendingSend(async () => {
    // Anything but an object with a valid id, such as the id alone or one that is undefined, would remove the whole device.
    checkRecord("row", row);
    const { id } = row;
    if ("id" in row) checkIdentifier("id", id);
    else checkMembers("row", row, []);
    const request: TransportRequest<void> = {
      operation: "removeEnvironment",
      method: "DELETE",
      path: `${environmentPath("deviceId", deviceId)}${id === undefined ? "" : `?id=${id}`}`,
      safety: "once",
      // The server's success has no body, so a page of a proxy does not count as one.
      findMismatch: (body) => (body === undefined ? null : ""),
    };
    return sendExtension(transport, request, options);
  });
}
