import type { CacheRequest } from "../decide/cache-request.ts";
import type { Fetch } from "../decide/decision.ts";
import type { ForwardReason } from "../fields/cache-status.ts";
import type { CacheAnswer } from "./cache-answer.ts";
import type { Settled, TurnSubject } from "./exchange-in-turn.ts";
import type { Forward, UnreadBody } from "./upstream.ts";

/** One request to the upstream, and all that its answer needs to know. */
export interface Exchange<Unread extends UnreadBody> extends TurnSubject {
  readonly request: CacheRequest;
  readonly forward: Forward<Unread>;
  readonly decision: Fetch;
}

/** What an exchange came to. */
export type Exchanged<Unread extends UnreadBody> = Settled<CacheAnswer<Unread>>;

/** The reason of RFC 9211 for which a request is forwarded. */
export function forwardReasonOf(
  decision: Fetch,
): Extract<ForwardReason, "uri-miss" | "vary-miss" | "stale" | "request"> {
  if (decision.kind === "miss") return decision.reason;
  return decision.reason.startsWith("request-") ? "request" : "stale";
}
