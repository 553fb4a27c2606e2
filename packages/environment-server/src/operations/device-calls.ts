/** The operations that run in the process that has the device's socket; `routing/` finds it. */
import type { PlainResponse } from "@letta-environments/schema";
import type { DeviceCall } from "../routing/router.ts";
import type { ServerContext } from "./context.ts";
import { controlConversation } from "./control.ts";
import { listMessages } from "./messages/list.ts";
import { sendAndWait } from "./messages/send-and-wait.ts";
import { retrieveMessage } from "./messages/status.ts";

/** Runs an operation on a device whose socket is here, or nowhere. The router passes it to the right process before. */
export function runLocally(server: ServerContext, { request, principal, context }: DeviceCall): Promise<PlainResponse> {
  switch (request.operation) {
    case "sendMessage":
      return sendAndWait(server, request, principal, context);
    case "listMessages":
      return listMessages(server, request, principal, context);
    case "retrieveMessage":
      return retrieveMessage(server, request, principal, context);
    case "stopTurn":
    case "changeMode":
    case "changeDirectory":
    case "resumeQueue":
    case "removeQueueItem":
      return controlConversation(server, request, principal, context);
  }
}
