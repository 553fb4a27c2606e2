/** Streams of events: which ones a principal may open, and how a stream is resumed. */
import {
  type Principal,
  problemResponse,
  refused,
  type Refused,
  type StreamEventsQuery,
} from "@letta-environments/schema";
import { isEventId } from "../changes/event-ids.ts";
import type { EventStream } from "../changes/streams.ts";
import { maxStreamsPerKey } from "../limits.ts";
import type { ServerContext } from "./context.ts";

/** The request of a reader. */
export interface EventsRequest {
  readonly query: StreamEventsQuery;
  /** `Last-Event-ID` of the request, which may be `oldest`; `null` when it has none. */
  readonly lastEventId: string | null;
}

/** An open stream, or the response that refuses it. */
export type EventsDecision = { readonly kind: "opened"; readonly stream: EventStream } | Refused;

/** Opens a stream of events. The caller has checked the scope of the endpoint. */
export async function openEvents(
  { changes, isClosing }: Pick<ServerContext, "changes" | "isClosing">,
  { query, lastEventId }: EventsRequest,
  principal: Principal,
): Promise<EventsDecision> {
  const includesOutput = query.include === "output";
  if (includesOutput && !principal.scopes.has("view")) return refused(withoutView);
  // Before the first event, a client has an empty id (WHATWG HTML, section 9.2.4).
  const from = lastEventId || null;
  if (from !== null && from !== "oldest" && !isEventId(from)) return refused(malformedId);
  if (isClosing()) return refused(problemResponse("shutting_down"));
  const stream = await changes.streams.open({ principal, includesOutput, deviceId: query.deviceId ?? null }, from);
  return stream === "too_many" ? refused(tooMany) : { kind: "opened", stream };
}

const withoutView = problemResponse("insufficient_scope", {
  detail: "The gateway key lacks the scope 'view', which include=output needs.",
});

const malformedId = problemResponse("invalid_request", {
  issues: [
    {
      member: "last-event-id",
      rule: "must be the id of an event, of at most 128 letters, digits and -._~",
    },
  ],
});

const tooMany = problemResponse("rate_limited", {
  detail: `The gateway key has ${maxStreamsPerKey} open streams of events, or the server has no room for another stream of this tenant.`,
  headers: { "retry-after": "10" },
});
