import type { DecodedRequest, PlainResponse, Principal } from "@letta-environments/schema";
import type { Sha256 } from "@letta-environments/platform";
import { refuseControlInput } from "./control.ts";
import { planSend } from "./send/send.ts";
import { refuseViewer } from "./viewer.ts";

/**
 * Returns the refusal of a send, a control operation or a viewer that the server refuses before it looks up the device; `null` for any other
 * request. It needs no server, so that a request can be explained without sending it, and without waiting for those that are being sent.
 */
export function refuseInput(request: DecodedRequest, principal: Principal, sha256: Sha256): PlainResponse | null {
  switch (request.operation) {
    case "sendMessage": {
      const planned = planSend(request.body, principal, null, sha256);
      return planned.kind === "refused" ? planned.response : null;
    }
    case "stopTurn":
    case "changeMode":
    case "changeDirectory":
    case "resumeQueue":
    case "removeQueueItem":
      return refuseControlInput(request, principal);
    case "openViewerSocket":
      return refuseViewer(request.query, principal);
    default:
      return null;
  }
}
