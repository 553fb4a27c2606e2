/**
 * The body of a send: gives user messages their ids, checks the body and encodes it once, so that every attempt sends the same
 * bytes under the same ids. Lengths and less common rules are left to the server, which reports all broken rules together.
 */
import type {
  ApprovalDecision,
  ApprovalMessage,
  SendMessageBody,
  TextPart,
  ToolReturn,
  UserMessage,
} from "@letta-environments/schema";
import { isText } from "@letta-environments/schema/guards";
import { isReference, referenceRule } from "@letta-environments/schema/identifier";
import { randomId } from "../adapters/platform.ts";
import { check, checkFlag, checkRecord, checkRecords, checkText } from "../check.ts";
import { stringify } from "../encode.ts";
import type { ReadonlyLists } from "../request.ts";
import type { RepeatSafety } from "../retry.ts";

/** A {@link UserMessage} whose ids are optional. */
export interface UserMessageInput extends Pick<UserMessage, "role"> {
  /** The text of the message, whole or in parts. */
  readonly content: string | readonly Readonly<TextPart>[];
  /** One id per logical message, the same for every repeat. Default: a random one. */
  readonly client_message_id?: string | undefined;
  /** Id under which the agent stores the message. Default: `client_message_id`. */
  readonly otid?: string | undefined;
}

/** An {@link ApprovalMessage} whose lists may be read-only. */
export interface ApprovalMessageInput extends Pick<ApprovalMessage, "type"> {
  readonly approvals: readonly (ReadonlyLists<ToolReturn> | ReadonlyLists<ApprovalDecision>)[];
}

/** A {@link SendMessageBody} whose message ids are optional. */
export interface SendMessageInput {
  readonly messages: readonly (UserMessageInput | ApprovalMessageInput)[];
  readonly agentId?: string | undefined;
  /** The agent's default conversation if absent, null or `default`. */
  readonly conversationId?: string | null | undefined;
}

/** A body as every attempt sends it, with the ids in it. */
export interface EncodedMessages {
  /** JSON. */
  readonly text: string;
  readonly clientMessageIds: readonly string[];
  readonly otids: readonly string[];
  readonly safety: RepeatSafety;
}

/**
 * Gives each user message a `client_message_id` unless it has one, and an `otid` with the same value unless it has one. Store
 * the result before you send it, and you can repeat the send safely even after a crash.
 *
 * @throws LettaEnvironmentsError `invalid_argument` if there is no list of messages
 */
export function assignMessageIds(input: SendMessageInput): SendMessageBody {
  checkRecord("body", input);
  check("messages", Array.isArray(input.messages), "must be a non-empty list");
  const messages = input.messages.map((message) => {
    if (isApproval(message)) return message;
    const id = message?.client_message_id ?? randomId();
    return { ...message, client_message_id: id, otid: message?.otid ?? id };
  });
  // Members that are undefined are absent in JSON.
  return { ...input, messages } as SendMessageBody;
}

/** Assigns message ids, encodes the body and checks it. @throws LettaEnvironmentsError `invalid_argument` */
export function encodeMessages(input: SendMessageInput): EncodedMessages {
  const text = stringify("body", assignMessageIds(input));
  // A UTF-16 unit takes at most three bytes, so short texts need not be encoded to be measured.
  check("body", text.length <= 2 ** 18 || new Blob([text]).size <= 2 ** 20, "must be at most 1 MiB");
  // Checks the encoded body, because a `toJSON` method may have changed the input.
  const body = JSON.parse(text) as SendMessageBody;
  const users = checkBody(body);
  return {
    text,
    clientMessageIds: users.map((message) => message.client_message_id),
    otids: users.map((message) => message.otid as string),
    safety: users.length === body.messages.length ? "deduplicated" : "once",
  };
}

/**
 * Checks that members have the right types and ids are not empty.
 *
 * @param body A value parsed from JSON, with its message ids.
 * @returns Its user messages.
 * @throws LettaEnvironmentsError `invalid_argument` naming the first member that breaks a rule.
 */
export function checkBody(body: unknown): readonly UserMessage[] {
  checkRecord("body", body);
  const { messages, agentId, conversationId } = body as Readonly<Record<string, unknown>>;
  checkRecords("messages", messages);
  if (agentId !== undefined) checkText("agentId", agentId);
  check("conversationId", isText(conversationId ?? ""), "must be a string or null");
  return messages.filter((message, index): message is UserMessage => {
    const isUser = !isApproval(message);
    if (isUser) checkUserMessage(`messages[${index}]`, message as Partial<UserMessage>);
    else checkApprovals(`messages[${index}].approvals`, message.approvals);
    return isUser;
  });
}

function checkUserMessage(path: string, { role, content, client_message_id: id, otid }: Partial<UserMessage>): void {
  check(`${path}.role`, role === "user", 'must be "user"');
  // The status of a message with another id could not be retrieved.
  check(`${path}.client_message_id`, isReference(id), `must be ${referenceRule}`);
  checkText(`${path}.otid`, otid);
  if (Array.isArray(content)) checkRecords(`${path}.content`, content);
  else
    check(`${path}.content`, isText(content) && content !== "", "must be a non-empty string or a list of text parts");
}

function checkApprovals(path: string, approvals: unknown): void {
  checkRecords(path, approvals);
  for (const [index, { tool_call_id: id, approve }] of approvals.entries() as ArrayIterator<
    [number, Readonly<Record<string, unknown>>]
  >) {
    checkText(`${path}[${index}].tool_call_id`, id);
    // The result of a tool has no `approve`.
    if (approve !== undefined) checkFlag(`${path}[${index}].approve`, approve);
  }
}

function isApproval(message: unknown): message is ApprovalMessage {
  return (message as Partial<ApprovalMessage> | null)?.approvals !== undefined;
}
