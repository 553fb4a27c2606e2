/**
 * Reads the status of a message, and waits for the end of its turn in requests that the server delays. A turn that
 * fails or is stopped is a result, not an error.
 */
import type { MessageStatus, RetrieveMessageQuery } from "@letta-environments/schema";
import { findMessageStatusMismatch } from "@letta-environments/schema/guards";
import { isReference, referenceRule } from "@letta-environments/schema/identifier";
import { monotonic, random, sleep } from "../adapters/platform.ts";
import { check, checkInteger, checkRecord } from "../check.ts";
import { environmentPath } from "../encode.ts";
import { isLettaEnvironmentsError } from "../error.ts";
import type { RequestOptions } from "../options.ts";
import { encodeQuery } from "../query.ts";
import { type InputOf, type PendingCall, pendingCall, type TransportResponse } from "../request.ts";
import type { Transport } from "../transport.ts";
import { sendExtension } from "./extension.ts";

/**
 * How the turn of a message ended. `finished`: without a reported error. `failed`: with an error or prematurely, or the device rejected the message,
 * or nothing was sent to it. `cancelled`: it was stopped, or removed from the queue. `evicted`: the device dropped it from a full queue.
 * `unfinished`: it had not ended when the time was over. `unknown`: it is not known, such as when the device went offline.
 */
export type TurnOutcome = "finished" | "failed" | "cancelled" | "evicted" | "unfinished" | "unknown";

/** The turn of a message. */
export interface Turn {
  readonly outcome: TurnOutcome;
  /** The last text of the agent; `null` without one, and for keys without the scope `view`. */
  readonly reply: string | null;
  /** The latest status that the server reported. */
  readonly status: MessageStatus;
}

/** Options of {@link waitForTurn}. `timeoutMs` applies to each of its requests. */
export interface WaitForTurnOptions extends RequestOptions {
  /** How long to wait for the end of the turn, in milliseconds. Default 600,000. */
  readonly waitUntilFinishedMs?: number | undefined;
}

/** Which of several messages with the same id, and whether to wait for the end of its turn. */
export type RetrieveMessageInput = InputOf<RetrieveMessageQuery>;

/**
 * Retrieves the status of a message that was sent to a device. The connection may be an earlier one of the device. With `wait`, the
 * server delays the response for at most two thirds of the time limit of the call. Rejects with a `LettaEnvironmentsError`.
 */
export function retrieveMessage(
  transport: Transport,
  connectionId: string,
  clientMessageId: string,
  query?: RetrieveMessageInput,
  options?: RequestOptions,
): PendingCall<MessageStatus> {
  return pendingCall(async () => requestStatus(transport, connectionId, clientMessageId, query, options));
}

/**
 * Waits until the turn of a message has ended, or until the time is over. Temporary failures are repeated meanwhile. Rejects with a
 * `LettaEnvironmentsError`.
 */
export function waitForTurn(
  transport: Transport,
  connectionId: string,
  clientMessageId: string,
  conversation?: Pick<RetrieveMessageInput, "agentId" | "conversationId">,
  options: WaitForTurnOptions = {},
): PendingCall<Turn> {
  return pendingCall(async () => {
    checkRecord("conversation", conversation ?? {});
    checkRecord("options", options);
    const { waitUntilFinishedMs = defaultWaitMs, ...requestOptions } = options;
    checkInteger("waitUntilFinishedMs", waitUntilFinishedMs, 0);
    const endsAtMs = monotonic() + waitUntilFinishedMs;
    return awaitTurn(transport, connectionId, clientMessageId, conversation, requestOptions, endsAtMs);
  });
}

/** How long a turn is awaited, in milliseconds. */
export const defaultWaitMs = 600_000;

/** Reads a status as the {@link Turn} that it describes. */
export function readTurn(status: MessageStatus): Turn {
  return { outcome: readOutcome(status), reply: status.text ?? null, status };
}

/** Stop reasons of a successful turn. Devices before 0.30.3 report none, and their server reports `unknown`. */
const goodReasons: readonly string[] = ["end_turn", "tool_rule", "no_tool_call", "unknown"];

/** States that are an outcome. */
const outcomes: readonly TurnOutcome[] = ["failed", "cancelled", "evicted", "unknown"];

function readOutcome({ state, error, stopReason = "unknown" }: MessageStatus): TurnOutcome {
  if (state !== "finished") return outcomes.find((outcome) => outcome === state) ?? "unfinished";
  return error === undefined && goodReasons.includes(stopReason) ? "finished" : "failed";
}

/**
 * How long the server may delay a response so that a request with this time limit still receives it, in seconds; 0 if the limit is too
 * short for that. Many proxies end requests without a response after 30 seconds.
 */
export function waitSecondsWithin(timeoutMs: number, leftMs: number): number {
  return Math.min(20, Math.floor(timeoutMs / 3_000), Math.ceil(Math.max(0, leftMs) / 1_000));
}

/**
 * Awaits a turn; see {@link waitForTurn}.
 *
 * @param endsAtMs {@link monotonic} milliseconds
 * @param latest the last known state of the turn
 */
export async function awaitTurn(
  transport: Transport,
  connectionId: string,
  clientMessageId: string,
  conversation: Pick<RetrieveMessageInput, "agentId" | "conversationId"> | undefined,
  options: RequestOptions,
  endsAtMs: number,
  latest?: TransportResponse<Turn>,
): Promise<TransportResponse<Turn>> {
  let failures = 0;
  if (latest && !canChange(latest.data)) return latest;
  for (;;) {
    const startedAtMs = monotonic();
    if (latest && startedAtMs >= endsAtMs) return latest;
    // A response that was delayed needs no pause.
    let nextAtMs = startedAtMs + 1_000;
    try {
      const leftMs = endsAtMs - startedAtMs;
      const { data, response } = await requestStatus(
        transport,
        connectionId,
        clientMessageId,
        conversation,
        options,
        leftMs,
      );
      latest = { data: readTurn(data), response };
      if (!canChange(latest.data)) return latest;
      failures = 0;
    } catch (error) {
      if (!isLettaEnvironmentsError(error) || !error.retryable) throw error;
      const { retryAfterMs = 0 } = error;
      const failedAtMs = monotonic();
      if (failedAtMs + retryAfterMs >= endsAtMs) {
        if (latest) return latest;
        throw error;
      }
      failures += 1;
      nextAtMs = failedAtMs + retryAfterMs + random() * Math.min(30_000, 1_000 * 2 ** failures);
    }
    await sleep(Math.min(endsAtMs, nextAtMs) - monotonic(), options.signal);
  }
}

/** Whether a turn may still end. A server that receives no reports of the device reports a wait of 0 seconds. */
function canChange({ outcome, status: { waitSeconds } }: Turn): boolean {
  return (outcome === "unfinished" || outcome === "unknown") && waitSeconds !== 0;
}

async function requestStatus(
  transport: Transport,
  connectionId: string,
  clientMessageId: string,
  query: RetrieveMessageInput | undefined,
  options: RequestOptions | undefined,
  leftMs = 0,
): Promise<TransportResponse<MessageStatus>> {
  checkRecord("query", query ?? {});
  check("clientMessageId", isReference(clientMessageId), `must be ${referenceRule}`);
  const id = encodeURIComponent(clientMessageId);
  const base = `${environmentPath("connectionId", connectionId)}/messages/${id}` as const;
  const pathOf = (waitSeconds = query?.waitSeconds, wait = query?.wait): `/${string}` =>
    `${base}${encodeQuery({ ...query, wait, waitSeconds: waitSeconds?.toString() })}`;
  return sendExtension(
    transport,
    {
      operation: "retrieveMessage",
      path: pathOf(),
      within(timeoutMs) {
        const waitSeconds = waitSecondsWithin(timeoutMs, leftMs);
        if (waitSeconds > 0) return { path: pathOf(waitSeconds, "finished") };
        // Servers wait for 30 seconds by default.
        return query?.wait ? { path: pathOf(Math.min(query.waitSeconds ?? 30, Math.floor(timeoutMs / 1_500))) } : {};
      },
      safety: "read",
      findMismatch: findMessageStatusMismatch,
      needed: { state: "" },
    },
    options,
  );
}
