import type { CachePolicy } from "../decide/cache-policy.ts";
import type { CacheRequest } from "../decide/cache-request.ts";
import type { Decision, Fetch } from "../decide/decision.ts";
import { isAuthorised } from "../decide/refusal-to-store.ts";
import { readRequestDirectives } from "../decide/request-directives.ts";
import { variantOf } from "../decide/variant.ts";
import { encodeKey } from "../keys/encode-key.ts";
import type { MaybePromise } from "../ports.ts";
import { answerCollapsed } from "./answer-hit.ts";
import type { CacheAnswer } from "./cache-answer.ts";
import { type CacheContext, keyOf } from "./cache-context.ts";
import { exchange } from "./exchange.ts";
import { exchangeInTurn } from "./exchange-in-turn.ts";
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
  return exchangeInTurn<Exchange<Unread>, CacheAnswer<Unread>>(
    context.coalescer,
    {
      keyOf: ({ request, decision }) =>
        mayCoalesce(request, decision, context.policy) ? flightKey(request, decision) : null,
      exchange: (asked) => exchange(context, asked),
      async lookAgain(waiting) {
        const { request, decision } = waiting;
        const next = await lookUp(request);
        if (next.kind === "hit")
          return { answer: answerCollapsed(context, request, next, forwardReasonOf(decision), context.clock.now()) };
        return {
          subject: next.kind === "miss" || next.kind === "revalidate" ? { ...waiting, decision: next } : waiting,
        };
      },
    },
    subject,
  );
}
