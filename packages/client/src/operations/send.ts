/** Sends messages to the device behind a connection. */
import type { MessageStatus, SendMessageResponse } from "@letta-environments/schema";
import { findSendMessageResponseMismatch, isMessageStatus } from "@letta-environments/schema/guards";
import { check, checkRecord, checkToken } from "../check.ts";
import { environmentPath, jsonHeaders } from "../encode.ts";
import { isLettaEnvironmentsError } from "../error.ts";
import type { RequestOptions } from "../options.ts";
import { type PendingCall, pendingCall, type TransportResponse } from "../request.ts";
import type { Transport } from "../transport.ts";
import { type EncodedMessages, encodeMessages, type SendMessageInput } from "./message.ts";
import { waitSecondsWithin } from "./turn.ts";

/**
 * Outcome of a send that has a response. `started`: the device runs the message. `queued`: the device keeps it until earlier
 * ones have run. `accepted`: the device took it; the server reports no more. `duplicate`: the server knew the ids, and
 * nothing ran again. `refused`: the device did not take it.
 */
export type SendOutcome = "started" | "queued" | "accepted" | "duplicate" | "refused";

/** The server's response, its meaning, and the ids of the messages. */
export interface SendMessageResult extends Omit<SendMessageResponse, "outcome"> {
  readonly outcome: SendOutcome;
  /** The `client_message_id` of each user message, in order. */
  readonly clientMessageIds: readonly string[];
  /** The `otid` of each user message, under which the agent stores it. */
  readonly otids: readonly string[];
}

/** Options of a single send. */
export interface SendOptions extends RequestOptions {
  /** Sent as `Idempotency-Key` with every attempt; `true` means the id of the first user message, which must exist. */
  readonly idempotencyKey?: string | boolean | undefined;
}

/**
 * Sends messages to the device behind a connection. Success means that the device took them, not that a turn has run.
 *
 * User messages without `client_message_id` get one; all attempts share it. After a failure the send is repeated only if the
 * response shows that no device received it, or if an earlier response of the server has shown that it deduplicates messages.
 * Messages with approvals have no ids: a send with one is repeated only if nothing was delivered.
 *
 * Rejects with a `LettaEnvironmentsError` that carries `clientMessageIds`, and in `outcome` whether the message may be running.
 */
export function sendMessage(
  transport: Transport,
  connectionId: string,
  body: SendMessageInput,
  options?: SendOptions,
): PendingCall<SendMessageResult> {
  return pendingSend(async () => postMessages(transport, connectionId, encodeMessages(body), options));
}

/** A response to a send, and the status of the last message if the server waited for its end. */
export interface PostedMessages extends TransportResponse<SendMessageResult> {
  readonly status: MessageStatus | undefined;
}

/**
 * Sends an encoded body.
 *
 * @param waitMs how long the server should wait for the end of the turn (RFC 7240), if it can
 */
export async function postMessages(
  transport: Transport,
  connectionId: string,
  messages: EncodedMessages,
  options: SendOptions = {},
  waitMs = 0,
): Promise<PostedMessages> {
  const { text, safety, clientMessageIds, otids } = messages;
  checkRecord("options", options);
  const { idempotencyKey, ...requestOptions } = options;
  check("idempotencyKey", idempotencyKey !== true || clientMessageIds.length > 0, "needs a user message");
  const key = idempotencyKey === true ? clientMessageIds[0] : idempotencyKey;
  if (key !== undefined && key !== false) checkToken("idempotencyKey", key);
  const headers = { ...jsonHeaders, ...(key && { "idempotency-key": key }) };
  try {
    const { data, response, redact } = await transport.send<SendMessageResponse>(
      {
        operation: "sendMessage",
        path: `${environmentPath("connectionId", connectionId)}/messages`,
        body: text,
        headers,
        within(timeoutMs) {
          const waitSeconds = waitSecondsWithin(timeoutMs, waitMs);
          return waitSeconds > 0 ? { headers: { ...headers, prefer: `wait=${waitSeconds}` } } : {};
        },
        safety,
        findMismatch: findSendMessageResponseMismatch,
        needed: { success: true },
      },
      requestOptions,
    );
    const status = isMessageStatus(data.outcome) ? data.outcome : undefined;
    return {
      response,
      redact,
      status,
      data: { ...data, clientMessageIds, otids, outcome: readOutcome(data, response) },
    };
  } catch (error) {
    throw describeSend(error, messages);
  }
}

function readOutcome({ success, disposition: reported }: SendMessageResponse, { headers }: Response): SendOutcome {
  if (!success) return "refused";
  if (headers.get("idempotency-replayed") === "true") return "duplicate";
  return (["started", "queued"] as const).find((known) => known === reported) ?? "accepted";
}

/**
 * Adds message ids to an error, and the outcome `refused` unless the transport has set one because it sent something. Any
 * other error is returned unchanged.
 */
export function describeSend(error: unknown, ids?: Pick<EncodedMessages, "clientMessageIds">): unknown {
  if (!isLettaEnvironmentsError(error)) return error;
  const { outcome = "refused" } = error;
  return Object.assign(error, { outcome, ...(ids && { clientMessageIds: ids.clientMessageIds }) });
}

/** Starts a call that sends something. An error before anything was sent, such as a wrong argument, also has the outcome `refused`. */
export function pendingSend<Value>(start: () => Promise<TransportResponse<Value>>): PendingCall<Value> {
  return pendingCall(() =>
    start().catch((error: unknown) => {
      throw describeSend(error);
    }),
  );
}
