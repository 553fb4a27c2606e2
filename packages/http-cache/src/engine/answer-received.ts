import type { ExchangeTimes } from "../decide/age.ts";
import { prepareAnswer } from "../decide/prepare-answer.ts";
import type { StoredResponse } from "../decide/stored-response.ts";
import { appendCacheStatus } from "../fields/cache-status.ts";
import { withoutConnectionFields } from "../fields/connection-fields.ts";
import type { CacheAnswer, CacheReport } from "./cache-answer.ts";
import { type CacheContext, changeStore, keyOf } from "./cache-context.ts";
import { type Exchange, type Exchanged, forwardReasonOf } from "./exchange-subject.ts";
import type { LoggedFlight } from "./flight-log.ts";
import { describesResource, outcomeOf, spoilsStored } from "./judge-outcome.ts";
import { receivedStatus } from "./received-status.ts";
import { storeAnswer } from "./store-answer.ts";
import type { UnreadBody, UpstreamAnswer } from "./upstream.ts";

/** An answer that came in full. It is stored if it may be; else it shows, as a success does, that the one stored before is over. */
export async function answerReceived<Unread extends UnreadBody>(
  context: CacheContext,
  subject: Exchange<Unread>,
  received: UpstreamAnswer<Unread>,
  times: ExchangeTimes,
  flight: LoggedFlight,
): Promise<Exchanged<Unread>> {
  const { request, decision, isCollapsed } = subject;
  const verdict = await storeAnswer(context, request, received, times, flight);
  const { stored, refusal } = verdict;
  const isOver = decision.kind === "revalidate" && refusal !== null && spoilsStored(refusal);
  if (isOver && describesResource(received.status))
    await changeStore(context, "store-delete", () => context.store.delete(keyOf(request)));

  const isRevalidation = decision.kind === "revalidate";
  const entry = receivedStatus(context.name, forwardReasonOf(decision), received.status, verdict, isCollapsed);
  const report: CacheReport = { outcome: "fetched", reason: decision.reason, refusal, isCollapsed };
  // The client's own conditions and range did not travel where something stored was asked about, so they are judged here.
  const answer =
    isRevalidation && stored !== null
      ? { ...prepareAnswer(request, asReceived(stored, received), null, times.receivedAtMs, entry), report }
      : passOn(received, entry, report);
  return { answer, outcome: outcomeOf(verdict, received.status) };
}

/** An answer as it came, but for what belonged to the connection to the upstream. */
export function passOn<Unread extends UnreadBody>(
  { status, headers: received, body }: UpstreamAnswer<Unread>,
  entry: string,
  report: CacheReport,
): CacheAnswer<Unread> {
  const headers = withoutConnectionFields(received);
  headers["cache-status"] = appendCacheStatus(received["cache-status"], entry);
  return { status, headers, body, report };
}

/** With the fields that are not stored but that the client who asked does get. */
function asReceived(
  stored: StoredResponse,
  { headers }: { readonly headers: UpstreamAnswer["headers"] },
): StoredResponse {
  return { ...stored, body: stored.body, headers: { ...stored.headers, ...withoutConnectionFields(headers) } };
}
