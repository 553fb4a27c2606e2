import {
  buildPath,
  checkValue,
  endpoints,
  isApprovalMessage,
  type SendMessageBody,
  SendMessageBodySchema,
  type SendMessageResponse,
} from "@letta-environments/schema";
import { invalidArgument } from "../error.ts";
import type { RequestOptions } from "../settings.ts";
import type { Transport } from "../transport.ts";
import type { TransportRequest } from "../transport-request.ts";
import { assignMessageIds, type SendMessageInput } from "./assign-message-ids.ts";
import { checkIdentifier } from "./check-identifier.ts";
import { readAnswer } from "./read-answer.ts";

/** The server's answer, and the ids under which it knows the messages. */
export interface SendMessageResult extends SendMessageResponse {
  /** The `client_message_id` of each user message, in order: the caller's, or the one that was made up. */
  clientMessageIds: readonly string[];
}

/**
 * Sends messages to the device behind a connection. Success means that the device has taken them, not that a turn has run.
 *
 * A user message without `client_message_id` gets one, which stays the same over retries. A send is retried where the server
 * says so, after 429, and after a broken connection when every message has such an id, since the server recognises it;
 * approval messages have none. Rejects with a `LettaEnvironmentsError`, which carries the ids too.
 */
export async function sendMessage(
  transport: Transport,
  connectionId: string,
  body: SendMessageInput,
  options?: RequestOptions,
): Promise<SendMessageResult> {
  checkIdentifier("connectionId", connectionId);
  const { text, value } = encodeBody(body);
  const clientMessageIds = value.messages.flatMap((message) =>
    isApprovalMessage(message) ? [] : [message.client_message_id],
  );
  const endpoint = endpoints.sendMessage;
  const request: TransportRequest = {
    method: endpoint.method,
    path: buildPath(endpoint, { connectionId }),
    query: {},
    body: text,
    repeatSafety: clientMessageIds.length === value.messages.length ? "deduplicated" : "once",
    clientMessageIds,
  };
  const answer = readAnswer(endpoint, request, await transport.send(request, options));
  return { ...answer, clientMessageIds };
}

/** The JSON text of every attempt, and what it means. */
function encodeBody(body: SendMessageInput): { text: string; value: SendMessageBody } {
  let text: string;
  let parsed: unknown;
  try {
    text = JSON.stringify(hasMessages(body) ? assignMessageIds(body) : body);
    parsed = JSON.parse(text);
  } catch (cause) {
    throw invalidArgument([{ member: "body", rule: "must be JSON" }], cause);
  }
  const checked = checkValue(SendMessageBodySchema, parsed, "body");
  if (!checked.ok) throw invalidArgument(checked.issues);
  return { text, value: checked.value };
}

function hasMessages(body: unknown): body is SendMessageInput {
  return typeof body === "object" && body !== null && Array.isArray((body as { messages?: unknown }).messages);
}
