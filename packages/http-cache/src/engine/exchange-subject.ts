import type { CacheRequest } from "../decide/cache-request.ts";
import type { Fetch } from "../decide/decision.ts";
import type { ForwardReason } from "../fields/cache-status.ts";
import type { FlightOutcome } from "../ports.ts";
import type { CacheAnswer } from "./cache-answer.ts";
import type { Forward, UnreadBody } from "./upstream.ts";

/** One request to the upstream, and all that its answer needs to know. */
export interface Exchange<Unread extends UnreadBody> {
  readonly request: CacheRequest;
  readonly forward: Forward<Unread>;
  readonly decision: Fetch;
  /** See `CacheStatus.isCollapsed`. */
  readonly isCollapsed: boolean | null;
  readonly signal: AbortSignal | undefined;
}

/** What an exchange came to: the answer, and what requests that waited for it are told. */
export interface Exchanged<Unread extends UnreadBody> {
  readonly answer: CacheAnswer<Unread>;
  readonly outcome: FlightOutcome;
}

/** The reason of RFC 9211 for which a request is forwarded. */
export function forwardReasonOf(
  decision: Fetch,
): Extract<ForwardReason, "uri-miss" | "vary-miss" | "stale" | "request"> {
  if (decision.kind === "miss") return decision.reason;
  return decision.reason.startsWith("request-") ? "request" : "stale";
}
