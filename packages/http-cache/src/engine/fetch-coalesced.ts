import type { CachePolicy } from "../decide/cache-policy.ts";
import type { CacheRequest } from "../decide/cache-request.ts";
import type { Decision, Fetch } from "../decide/decision.ts";
import { isAuthorised } from "../decide/refusal-to-store.ts";
import { readRequestDirectives } from "../decide/request-directives.ts";
import { variantOf } from "../decide/variant.ts";
import { encodeKey } from "../keys/encode-key.ts";
import type { FollowingFlight, LeadingFlight, MaybePromise, Turn } from "../ports.ts";
import { answerCollapsed } from "./answer-hit.ts";
import type { CacheAnswer } from "./cache-answer.ts";
import { type CacheContext, keyOf } from "./cache-context.ts";
import { exchange } from "./exchange.ts";
import { type Exchange, forwardReasonOf } from "./exchange-subject.ts";
import type { UnreadBody } from "./upstream.ts";

/**
 * Requests of one resource and, as far as it is known by what they vary, of one variant, wait for each other. Those with credentials wait apart:
 * their answers are often for one of them alone, and nobody else is to notice that.
 */
export function flightKey(request: CacheRequest, decision: Fetch): string {
  const vary = decision.kind === "miss" ? decision.vary : decision.stored.vary;
  const credentials = isAuthorised(request) ? "authorised" : "";
  return encodeKey([keyOf(request), credentials, ...variantOf(vary, request.headers)]);
}

/** True for a request whose answer can be of use to others: it is for the whole of the resource. */
export function mayCoalesce({ method, headers }: CacheRequest, decision: Fetch, policy: CachePolicy): boolean {
  if (method !== "GET") return false;
  // Who wants the origin's own word is not helped by waiting for an answer to somebody else.
  const { noCache, maxAgeMs } = readRequestDirectives(headers, policy);
  if (noCache || maxAgeMs === 0) return false;
  if (decision.kind === "revalidate") return true;
  return ["range", "if-none-match", "if-modified-since"].every((name) => headers[name] === undefined);
}

/** Asks the upstream once for all requests that need the same answer at the same time. */
export async function fetchCoalesced<Unread extends UnreadBody>(
  context: CacheContext,
  subject: Exchange<Unread>,
  lookUp: (request: CacheRequest) => MaybePromise<Decision>,
): Promise<CacheAnswer<Unread>> {
  const { request, decision, signal } = subject;
  if (!mayCoalesce(request, decision, context.policy)) return (await exchange(context, subject)).answer;
  const entered = context.coalescer.enter(flightKey(request, decision));
  const flight = entered instanceof Promise ? await entered : entered;
  if (flight.role === "solo") return (await exchange(context, subject)).answer;
  if (flight.role === "leader")
    return entered instanceof Promise
      ? leadUnlessAnswered(context, subject, flight, lookUp)
      : lead(context, subject, flight);

  const turn = await waitForTurn(flight, signal);
  const collapsed: Exchange<Unread> = { ...subject, isCollapsed: false };
  if (typeof turn === "object") return lead(context, collapsed, turn);
  if (turn === "go-alone") return (await exchange(context, collapsed)).answer;
  const next = await lookUp(request);
  if (next.kind === "hit")
    return answerCollapsed(context, request, next, forwardReasonOf(decision), context.clock.now());
  if (next.kind !== "miss" && next.kind !== "revalidate") return (await exchange(context, collapsed)).answer;
  const again: Exchange<Unread> = { ...collapsed, decision: next };
  // Waiting once more is for those who have learnt only now by what the answers vary.
  const isOtherVariant = flightKey(request, next) !== flightKey(request, decision) && subject.isCollapsed === null;
  return isOtherVariant ? fetchCoalesced(context, again, lookUp) : (await exchange(context, again)).answer;
}

/** While a place was asked for, the flight before may have ended, and its answer may lie in the cache. */
async function leadUnlessAnswered<Unread extends UnreadBody>(
  context: CacheContext,
  subject: Exchange<Unread>,
  flight: LeadingFlight,
  lookUp: (request: CacheRequest) => MaybePromise<Decision>,
): Promise<CacheAnswer<Unread>> {
  const { request, decision, signal } = subject;
  if (signal?.aborted === true) {
    flight.settle("abandoned");
    throw signal.reason;
  }
  const next = await lookUp(request);
  if (next.kind === "hit") {
    flight.settle("stored");
    return answerCollapsed(context, request, next, forwardReasonOf(decision), context.clock.now());
  }
  const isSameFlight = next.kind === "miss" || next.kind === "revalidate";
  return lead(context, isSameFlight ? { ...subject, decision: next } : subject, flight);
}

async function lead<Unread extends UnreadBody>(
  context: CacheContext,
  subject: Exchange<Unread>,
  flight: LeadingFlight,
): Promise<CacheAnswer<Unread>> {
  const { signal } = subject;
  // The others do not wait until the upstream call notices.
  const abandon = (): void => flight.settle("abandoned");
  signal?.addEventListener("abort", abandon, { once: true });
  try {
    const { answer, outcome } = await exchange(context, subject);
    flight.settle(outcome);
    return answer;
  } catch (cause) {
    flight.settle(signal?.aborted === true ? "abandoned" : "failed");
    throw cause;
  } finally {
    signal?.removeEventListener("abort", abandon);
  }
}

/** Rejects with the signal's reason when the client goes away while it waits. */
async function waitForTurn(flight: FollowingFlight, signal: AbortSignal | undefined): Promise<Turn> {
  if (signal === undefined) return flight.turn;
  let stop: () => void = () => undefined;
  const aborted = new Promise<never>((_, reject) => {
    stop = () => {
      flight.leave();
      reject(signal.reason as Error);
    };
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
  });
  try {
    return await Promise.race([flight.turn, aborted]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}
