import type { SendMessageBody } from "@letta-environments/schema";
import { invalidArgument } from "../call-error.ts";
import type { RepeatSafety } from "../retry.ts";
import { assignMessageIds, type SendMessageInput } from "./assign-message-ids.ts";
import { checkBody } from "./check-body.ts";

/** A body as every attempt sends it, and what it means. */
export interface EncodedMessages {
  readonly text: string;
  readonly clientMessageIds: readonly string[];
  readonly otids: readonly string[];
  readonly safety: RepeatSafety;
}

/** Gives the messages their ids and encodes them. @throws LettaEnvironmentsError `invalid_argument` naming the member. */
export const encodeMessages = (input: SendMessageInput): EncodedMessages => {
  let text: string;
  let body: SendMessageBody;
  try {
    text = JSON.stringify(assignMessageIds(input));
    // What is sent is what the text says, whatever `toJSON` made of the input.
    body = JSON.parse(text);
  } catch {
    throw invalidArgument("body", "must be JSON with messages");
  }
  // What has at most three bytes for each unit of its length need not be encoded to know that it is small enough.
  if (text.length > 2 ** 18 && new TextEncoder().encode(text).length > 2 ** 20)
    throw invalidArgument("body", "must be at most 1 MiB");
  const users = checkBody(body);
  return {
    text,
    clientMessageIds: users.map((message) => message.client_message_id),
    otids: users.map((message) => message.otid as string),
    safety: users.length === body.messages.length ? "deduplicated" : "once",
  };
};
