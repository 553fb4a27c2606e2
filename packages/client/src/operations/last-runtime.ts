/** Retrieves the device that ran a conversation last. Not a method of the client, to keep its bundle small. */
import type { LastRuntime } from "@letta-environments/schema";
import { findLastRuntimeMismatch } from "@letta-environments/schema/guards";
import { isReference, referenceRule } from "@letta-environments/schema/identifier";
import { check, checkRecord } from "../check.ts";
import type { RequestOptions } from "../options.ts";
import { type PendingCall, pendingCall } from "../request.ts";
import type { Transport } from "../transport.ts";
import { sendExtension } from "./extension.ts";

/** A conversation of an agent. `conversationId`: `default` when absent. */
export interface RuntimeSelector {
  readonly agentId: string;
  readonly conversationId?: string | undefined;
}

/**
 * Of the devices that the key can reach, retrieves the one that last accepted a message of a conversation. Rejects
 * with a `LettaEnvironmentsError`, such as `environment_not_found` when no device has run the conversation.
 */
export function retrieveLastRuntime(
  transport: Transport,
  runtime: RuntimeSelector,
  options?: RequestOptions,
): PendingCall<LastRuntime> {
  return pendingCall(async () =>
    sendExtension<LastRuntime>(
      transport,
      {
        operation: "retrieveLastRuntime",
        path: pathOf(runtime),
        safety: "read",
        findMismatch: findLastRuntimeMismatch,
        needed: { deviceId: "" },
      },
      options,
    ),
  );
}

/** @throws LettaEnvironmentsError `invalid_argument` */
function pathOf(runtime: RuntimeSelector): `/${string}` {
  checkRecord("runtime", runtime);
  const { agentId, conversationId = "default" } = runtime;
  check("agentId", isReference(agentId), `must be ${referenceRule}`);
  check("conversationId", isReference(conversationId), `must be ${referenceRule}`);
  return `/v1/environments/runtimes/${encodeURIComponent(agentId)}/${encodeURIComponent(conversationId)}/last`;
}
