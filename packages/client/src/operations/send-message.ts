import type { SendMessageResponse } from "@letta-environments/schema";
import { checkValue } from "../check-value.ts";
import { isLettaEnvironmentsError } from "../error.ts";
import { type PendingCall, pendingCall } from "../pending-call.ts";
import { findSendMessageResponseMismatch } from "@letta-environments/schema/guards";
import type { Transport } from "../transport.ts";
import type { RequestOptions } from "../transport-options.ts";
import type { TransportResponse } from "../transport-request.ts";
import type { SendMessageInput } from "./assign-message-ids.ts";
import { type EncodedMessages, encodeMessages } from "./encode-messages.ts";
import { pathOfEnvironment } from "./path-of-environment.ts";

/**
 * What became of a send that was answered. `started`: the device runs it. `queued`: it waits behind others. `accepted`: the
 * device took it and did not say which. `duplicate`: the ids were known; nothing was done again. `refused`: it was not taken.
 */
export type SendOutcome = "started" | "queued" | "accepted" | "duplicate" | "refused";

/** The server's answer, what it means, and the ids under which it knows the messages. */
export interface SendMessageResult extends SendMessageResponse {
  readonly outcome: SendOutcome;
  /** The `client_message_id` of each user message, in order: the caller's, or the one that was made up. */
  readonly clientMessageIds: readonly string[];
  /** The id under which the agent stores each user message. */
  readonly otids: readonly string[];
}

/** What a single send may set. */
export interface SendOptions extends RequestOptions {
  /** Sent as `Idempotency-Key`, the same for every attempt; `true` takes the first message's id. */
  readonly idempotencyKey?: string | boolean | undefined;
}

/**
 * Sends messages to the device behind a connection. Success means that the device has taken them, not that a turn has run.
 *
 * A user message without `client_message_id` gets one, which stays the same over retries. A send is retried where the server
 * says so, after 429, and after a broken connection when every message has such an id, since the server recognises it;
 * approval messages have none. Rejects with a `LettaEnvironmentsError`, which carries the ids too, and in `outcome` whether the message may be running.
 */
export const sendMessage = (
  transport: Transport,
  connectionId: string,
  body: SendMessageInput,
  options?: SendOptions,
): PendingCall<SendMessageResult> =>
  pendingCall(async () => postMessages(transport, connectionId, encodeMessages(body), options));

/** Sends what is encoded already. */
export const postMessages = async (
  transport: Transport,
  connectionId: string,
  { text, safety, ...ids }: EncodedMessages,
  { idempotencyKey, ...options }: SendOptions = {},
): Promise<TransportResponse<SendMessageResult>> => {
  const key = idempotencyKey === true ? ids.clientMessageIds[0] : idempotencyKey;
  if (key) checkValue("idempotencyKey", key, /^"[!#-[\]-~]+$/);
  try {
    const { data, response } = await transport.send<DeviceAnswer>(
      {
        operation: "sendMessage",
        path: `${pathOfEnvironment("connectionId", connectionId)}/messages`,
        body: text,
        headers: { "content-type": "application/json", ...(key && { "idempotency-key": key }) },
        safety,
        findMismatch: findSendMessageResponseMismatch,
      },
      options,
    );
    const { success, disposition } = data;
    const isRepeated = response.headers.get("idempotency-replayed") === "true";
    const isTold = disposition === "started" || disposition === "queued";
    const outcome = !success ? "refused" : isRepeated ? "duplicate" : isTold ? disposition : "accepted";
    return { response, data: { ...data, ...ids, outcome } };
  } catch (error) {
    throw withIds(error, ids);
  }
};

interface DeviceAnswer extends SendMessageResponse {
  readonly disposition?: unknown;
}

/**
 * The error, with what it tells of a send: the ids, and whether the message may be running, which a transport says of what it sent. What is none
 * of ours stays as it is.
 */
export const withIds = (error: unknown, { clientMessageIds }: Pick<EncodedMessages, "clientMessageIds">): unknown =>
  isLettaEnvironmentsError(error) ? Object.assign(error, { outcome: "refused", ...error, clientMessageIds }) : error;
