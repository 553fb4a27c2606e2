/**
 * Decides what the end of a send at a remote server means: whether its result is kept for later repeats or its ids are free again,
 * and whether the message may have been delivered. Repeats that arrive before the end wait in `idempotency/sends.ts`. A server of another vendor may
 * have passed the message on before it failed, so only a proof that nothing was delivered lets a caller send it again.
 */
import { messageDeduplicationHeader, type PlainResponse, type ProblemCode } from "@letta-environments/schema";
import { parseJsonObject } from "../lib/json.ts";
import type { CallEnd } from "./remote-call.ts";
import { readParts } from "./problem-members.ts";
import { parseError, problemCodeOf } from "./validate-response.ts";

/** How to record a finished send, and whether its message was delivered. */
export interface SendOutcome {
  /** `settle`: repeats receive this result. `release`: the ids are free, and a repeat is sent. */
  readonly action: "settle" | "release";
  /** Whether a message was delivered; `null` where the response itself says so. */
  readonly delivery: "none" | "unknown" | null;
}

const finished: SendOutcome = { action: "settle", delivery: null };
const refused: SendOutcome = { action: "release", delivery: "none" };
const unknown: SendOutcome = { action: "settle", delivery: "unknown" };
/** Another request with the same ids is in progress behind the upstream, which recognises repeats itself. */
const elsewhere: SendOutcome = { action: "release", delivery: "unknown" };

/**
 * 5xx codes of this project that mean nothing was sent. Every code below 500 means that too, except those that {@link sendOutcome} handles first.
 * The client's `undeliveredCodes` is another list: codes after which a repeat can succeed. So it has `rate_limited`, and not
 * `upstream_credential_rejected`.
 */
const undeliveredServerErrors: ReadonlySet<ProblemCode> = new Set([
  "audit_unavailable",
  "idempotency_unavailable",
  "issuer_unavailable",
  "key_store_unavailable",
  "limits_unavailable",
  "loop_detected",
  "overloaded",
  "shutting_down",
  "storage_unavailable",
  "upstream_credential_rejected",
  "upstream_timeout",
  "upstream_unreachable",
]);

/** Statuses with which a server, or a proxy before it, may give up a request that it has already passed on. */
const ambiguousStatuses: ReadonlySet<number> = new Set([408, 499]);

/** The kinds of messages in a body. */
export interface SentContent {
  readonly hasMessages: boolean;
  readonly hasApprovals: boolean;
}

/**
 * Returns the outcome of a send.
 *
 * @param isAccepted whether the response is a success that the caller receives
 */
export function sendOutcome(end: CallEnd, isAccepted: boolean, content: SentContent): SendOutcome {
  if (end === null) return unknown;
  if ("reason" in end) return end.reason === "unreachable" ? refused : unknown;
  if (isAccepted) return finished;
  const { status, headers } = end;
  const code = problemCodeOf(end);
  if (code === "send_in_progress") return elsewhere;
  if (code === "input_rejected") {
    const isPartial = readParts(code, parseError(end) ?? {}) !== null;
    return outcomeOfRejection(content, isDeduplicating(end), isPartial);
  }
  if (code !== null) return status < 500 || undeliveredServerErrors.has(code) ? refused : unknown;
  // RFC 9110 sections 15.4.8 and 15.4.9: the request was not performed here. Other redirects may mean that it was performed.
  if (status === 307 || status === 308) return refused;
  if (status === 429 || status === 503)
    return headers["x-should-retry"] === "true" && isDeduplicating(end) ? refused : unknown;
  if (status === 409) return saysOffline(end) ? refused : unknown;
  return status >= 400 && status < 500 && !ambiguousStatuses.has(status) ? refused : unknown;
}

/**
 * A rejected message stays rejected, and a rejected decision had no effect. A part of a body may have been delivered: a server that recognises its ids
 * delivers only the rest when the body is repeated.
 *
 * @param isPartial whether the upstream says that a part was delivered
 */
function outcomeOfRejection(
  { hasMessages, hasApprovals }: SentContent,
  isDeduplicating: boolean,
  isPartial: boolean,
): SendOutcome {
  const isReleased = hasApprovals && (isDeduplicating || !(hasMessages || isPartial));
  return { action: isReleased ? "release" : "settle", delivery: isPartial ? "unknown" : null };
}

function isDeduplicating({ headers }: PlainResponse): boolean {
  return Number(headers[messageDeduplicationHeader]) > 0;
}

/**
 * Whether a 409 says that the device is offline, in the words of the hosted API. Its own clients recognise them, and repeat the message
 * when the device has started. Any other 409 can be about an earlier request.
 */
function saysOffline(response: PlainResponse): boolean {
  const { message } = parseError(response) ?? {};
  return typeof message === "string" && message.includes("Remote environment is offline");
}

/**
 * Returns the response for the caller of a failed send: it says whether the message may have been delivered, and a repeat is safe
 * only if it was not.
 */
export function describeDelivery(response: PlainResponse, { action, delivery }: SendOutcome): PlainResponse {
  const problem = delivery === null ? null : parseJsonObject(response.body);
  if (problem === null) return response;
  const text = String(problem["detail"]);
  const saysSo = delivery === "none" || problem["errorCode"] === "delivery_unknown" || "parts" in problem;
  const detail = saysSo ? text : `${/[.!?]$/.test(text) ? text : `${text}.`} ${mayBeDelivered}`;
  const { "retry-after": _retryAfter, ...headers } = response.headers;
  return {
    status: response.status,
    headers: action === "settle" ? { ...headers, "x-should-retry": "false" } : response.headers,
    body: JSON.stringify({ ...problem, detail, message: detail, delivery }),
  };
}

const mayBeDelivered = "The message may have been delivered. Do not send it again with another id.";
