import {
  lastEventIdHeader,
  type PlainResponse,
  problemResponse,
  type StreamEventsQuery,
} from "@letta-environments/schema";
import type { GatewayRequest } from "../http/gateway-request.ts";
import type { ValidRequest } from "../http/validate-request.ts";
import type { MaybePromise } from "../lib/steps.ts";
import type { EventStreams, StreamRequest } from "./event-streams.ts";

/** Opens a stream of events for an authorised request. Its response has no deadline and is never cached. */
export function openEventStream(
  { eventStreams }: { readonly eventStreams?: EventStreams | null },
  request: GatewayRequest,
  {
    principal,
    trace: { requestId },
    queryValues,
  }: ValidRequest & Pick<StreamRequest, "principal"> & { readonly trace: Pick<StreamRequest, "requestId"> },
): MaybePromise<PlainResponse> {
  if (eventStreams === undefined || eventStreams === null) return noStreamsHere;
  return eventStreams.open({
    principal,
    requestId,
    // The endpoint's own schema has decoded it.
    query: queryValues as StreamEventsQuery,
    lastEventId: request.header(lastEventIdHeader),
    authorization: request.header("authorization"),
  });
}

const noStreamsHere = problemResponse("endpoint_not_found", {
  detail: "Events need the embedded environment server: this gateway is in front of another one.",
});
