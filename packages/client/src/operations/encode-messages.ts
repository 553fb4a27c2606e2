import type { SendMessageBody, UserMessage } from "@letta-environments/schema";
import { invalidArgument } from "../error.ts";
import type { RepeatSafety } from "../retry.ts";
import { findSendMessageBodyMismatch } from "@letta-environments/schema/guards";
import { assignMessageIds, type SendMessageInput } from "./assign-message-ids.ts";

/** A body as every attempt sends it, and what it means. */
export interface EncodedMessages {
  readonly text: string;
  readonly clientMessageIds: readonly string[];
  readonly otids: readonly string[];
  readonly safety: RepeatSafety;
}

/** Largest body that the API takes, in bytes. */
const maxBodyBytes = 1_048_576;

/** Gives the messages their ids and encodes them. @throws LettaEnvironmentsError `invalid_argument` naming the member. */
export function encodeMessages(input: SendMessageInput): EncodedMessages {
  let text: string;
  let body: SendMessageBody;
  try {
    text = JSON.stringify(Array.isArray(input?.messages) ? assignMessageIds(input) : input);
    // What is sent is what the text says, whatever `toJSON` made of the input.
    body = JSON.parse(text) as SendMessageBody;
  } catch (cause) {
    throw Object.assign(invalidArgument("body", "must be JSON"), { cause });
  }
  const member = findSendMessageBodyMismatch(body);
  if (member !== null) throw invalidArgument(member || "body", "is not as the API asks");
  if (new TextEncoder().encode(text).length > maxBodyBytes) throw invalidArgument("body", "must have at most 1 MiB");
  const users = body.messages.filter((message): message is UserMessage => !("approvals" in message));
  return {
    text,
    clientMessageIds: users.map((message) => message.client_message_id),
    otids: users.map((message) => message.otid ?? message.client_message_id),
    safety: users.length === body.messages.length ? "deduplicated" : "once",
  };
}
