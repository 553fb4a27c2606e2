import type { ExchangeTimes } from "../decide/age.ts";
import { errorStatuses } from "../decide/stale-on-error.ts";
import type { StoredResponse } from "../decide/stored-response.ts";
import { conditionalHeaders, validatorsAgree } from "../decide/validation.ts";
import type { HeaderRecord } from "../fields/header-record.ts";
import type { Exchange, Exchanged } from "./exchange-subject.ts";
import { answerReceived } from "./answer-received.ts";
import { answerValidated } from "./answer-validated.ts";
import { type CacheContext, keyOf } from "./cache-context.ts";
import type { LoggedFlight } from "./flight-log.ts";
import { standIn } from "./stand-in.ts";
import type { UnreadBody, UpstreamAnswer } from "./upstream.ts";

/**
 * Asks the upstream, about what is stored where something is (RFC 9111, 4.3), and makes the answer: validated, new, or the stored one when
 * the upstream fails and that is allowed. Rejects as `forward` does otherwise.
 */
export async function exchange<Unread extends UnreadBody>(
  context: CacheContext,
  subject: Exchange<Unread>,
): Promise<Exchanged<Unread>> {
  const flight = context.flights.begin(keyOf(subject.request));
  const stored = subject.decision.kind === "revalidate" ? subject.decision.stored : null;
  try {
    if (stored === null) return await fetchNew(context, subject, subject.request.headers, flight);
    return await validate(context, subject, stored, flight);
  } catch (cause) {
    const stale =
      stored === null || subject.signal?.aborted === true ? null : standIn(context, subject, stored, "unreachable");
    if (stale === null) throw cause;
    return stale;
  } finally {
    flight.end();
  }
}

async function validate<Unread extends UnreadBody>(
  context: CacheContext,
  subject: Exchange<Unread>,
  stored: StoredResponse,
  flight: LoggedFlight,
): Promise<Exchanged<Unread>> {
  const { request } = subject;
  const headers = conditionalHeaders(request.headers, stored.headers);
  const { answer, times } = await send(context, subject, headers);
  if (answer.status === 304) {
    if (validatorsAgree(stored.headers, answer.headers))
      return answerValidated(context, subject, stored, answer, times, flight);
    // It is about something else than what is stored, so what it is about has to be fetched (RFC 9111, 4.3.4).
    return fetchNew(context, subject, conditionalHeaders(request.headers, {}), flight);
  }
  const stale = errorStatuses.has(answer.status) ? standIn(context, subject, stored, "error-status") : null;
  if (stale === null) return answerReceived(context, subject, answer, times, flight);
  if (!(answer.body instanceof Uint8Array)) answer.body.discard();
  return stale;
}

async function fetchNew<Unread extends UnreadBody>(
  context: CacheContext,
  subject: Exchange<Unread>,
  headers: HeaderRecord,
  flight: LoggedFlight,
): Promise<Exchanged<Unread>> {
  const { answer, times } = await send(context, subject, headers);
  return answerReceived(context, subject, answer, times, flight);
}

async function send<Unread extends UnreadBody>(
  { clock }: CacheContext,
  { request, forward, signal }: Exchange<Unread>,
  headers: HeaderRecord,
): Promise<{ readonly answer: UpstreamAnswer<Unread>; readonly times: ExchangeTimes }> {
  const requestedAtMs = clock.now();
  const answer = await forward({ method: request.method, headers, signal });
  return { answer, times: { requestedAtMs, receivedAtMs: clock.now() } };
}
