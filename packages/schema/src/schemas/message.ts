/**
 * Messages to a device: the input and the result of `sendMessage`. A body holds user messages, which start a turn of the
 * agent, and approval messages, which respond to the agent's requests for permission. Schemas check known members and keep
 * unknown ones, for a newer upstream.
 */
import * as v from "valibot";
import type { PlainResponse } from "../base/plain-http.ts";
import { conversationReference, reference } from "../base/reference.ts";
import { isNoDotSegment, isRecord, looksLikeApproval, looksLikeToolReturn } from "../base/rules.ts";
import { either, type OpenEnum, openEnum, wireObject, type WireObjectSchema } from "../base/wire-schema.ts";
import { type MessageStatus, MessageStatusSchema } from "./message-status.ts";

/**
 * Name of the response header with which a server declares that it deduplicates messages. Its value is the number of
 * seconds for which the server remembers a `client_message_id`, such as `86400`. While an id is remembered, a client may
 * repeat a send with an unknown outcome: the server returns the first result and does not run the message again.
 */
export const messageDeduplicationHeader = "x-message-deduplication";

/**
 * How long a message id is remembered with its result, in milliseconds. The embedded server keeps decisions and replaced connectionIds, and the gateway
 * keeps sends to a remote upstream, for the same time. Clients read the time from {@link messageDeduplicationHeader}.
 */
export const messageRetentionMs: number = 24 * 60 * 60 * 1_000;

/** Adds the header that lets clients repeat a send with an unknown outcome. */
export function declareDeduplication(response: PlainResponse): PlainResponse {
  return {
    ...response,
    headers: { ...response.headers, [messageDeduplicationHeader]: String(messageRetentionMs / 1_000) },
  };
}

/** A piece of text in a message. */
export interface TextPart {
  /** The text. */
  text: string;
  /** Always `text`. */
  type: "text";
}

/** A message from a person or a program to the agent on a device. With a member `approvals`, or the `type` `approval`, it is an {@link ApprovalMessage}. */
export interface UserMessage {
  /**
   * Chosen by the caller, unique for each message, the same in every retry, and neither `.` nor `..`. A repeated id returns the first result. Its length,
   * like that of every id, is counted in UTF-16 code units.
   */
  client_message_id: string;
  /** The text of the message, whole or in parts. */
  content: string | TextPart[];
  /** Always `user`. */
  role: "user";
  /** Id under which the agent stores the message; `client_message_id` when absent. */
  otid?: string;
}

/** The result of a tool that the caller ran. The embedded server refuses it: 422 `approvals_unsupported`. */
export interface ToolReturn {
  /** Whether the tool succeeded. */
  status: "success" | "error";
  /** Id of the tool call that asked. */
  tool_call_id: string;
  /** The tool's result. */
  tool_return: string | TextPart[];
  /** Lines of the standard error. */
  stderr?: string[] | null;
  /** Lines of the standard output. */
  stdout?: string[] | null;
  /** `tool`, or absent. */
  type?: "tool";
}

/** The decision on one request for permission. */
export interface ApprovalDecision {
  /** Whether the tool may run. */
  approve: boolean;
  /** Id of the tool call that waits for permission. */
  tool_call_id: string;
  /** Why, for the agent. */
  reason?: string | null;
  /**
   * `requestedAt` of the request as it was listed. If the device has since asked for something else under the same id, nothing is decided. An
   * extension: a server may ignore it.
   */
  requested_at?: number | null;
  /**
   * Ids of suggestions of the request, which grant lasting permissions beyond this tool call. Only with `approve: true`. An extension:
   * a server may ignore it.
   */
  selected_permission_suggestion_ids?: string[] | null;
  /** `approval`, or absent. */
  type?: "approval";
  /** Replaces the input of the tool. */
  updated_input?: Record<string, unknown> | null;
}

/** Responses to requests for permission. A member of `approvals` with `approve` is a decision, one with `status` a tool return. */
export interface ApprovalMessage {
  /** The responses. Each has a different `tool_call_id` in the body. */
  approvals: (ToolReturn | ApprovalDecision)[];
  /** Always `approval`. */
  type: "approval";
}

/** The body of `sendMessage`. */
export interface SendMessageBody {
  /** The messages, in order. Between approval messages, at most 100 user messages follow one another. */
  messages: (UserMessage | ApprovalMessage)[];
  /** Agent that runs the messages. Required unless `conversationId` names a conversation. */
  agentId?: string;
  /** The agent's default conversation when absent, null or `default`. */
  conversationId?: string | null;
}

/** The device accepted the message, or refused it for the reason in `message`. The turn that follows is not part of it. */
export interface SendMessageResponse {
  /** Whether the device accepted the message. */
  success: boolean;
  /** A description for people. */
  message: string;
  /** Reaction of the device, if the server says it. `started`: the turn began. `queued`: it waits for the turn before it. */
  disposition?: OpenEnum<"started" | "queued">;
  /** The status of the last message, if the request had the preference `wait` and the server supports it. */
  outcome?: MessageStatus;
}

/** Returns whether a message is an approval message. */
export function isApprovalMessage(message: UserMessage | ApprovalMessage): message is ApprovalMessage {
  return "approvals" in message;
}

/** Returns whether a decision of a body grants a lasting permission. */
export function grantsLastingPermission({ messages }: Pick<SendMessageBody, "messages">): boolean {
  return messages.some(
    (message) =>
      isApprovalMessage(message) &&
      message.approvals.some(
        (approval) => "approve" in approval && hasItems(approval.selected_permission_suggestion_ids),
      ),
  );
}

function hasItems(list: readonly string[] | null | undefined): boolean {
  return (list?.length ?? 0) > 0;
}

/** Schema of {@link TextPart}. */
export const TextPartSchema: WireObjectSchema<TextPart> = /* @__PURE__ */ wireObject(() => ({
  text: v.string(),
  type: v.literal("text", 'must be "text": images are not supported'),
}));

/** The rule for a value that is neither. */
const textOrParts = "must be a string or a list of text parts";

/** Schema of {@link UserMessage}. */
export const UserMessageSchema: WireObjectSchema<UserMessage> = /* @__PURE__ */ wireObject(() => ({
  // URL parsers resolve dot segments, so the path of the message's status could not contain such an id.
  client_message_id: v.pipe(reference(), v.check(isNoDotSegment, "must not be '.' or '..'")),
  content: either(
    Array.isArray,
    v.pipe(v.array(TextPartSchema), v.minLength(1, "must have at least one part")),
    v.pipe(v.string(textOrParts), v.minLength(1, "must not be empty")),
  ),
  role: v.literal("user"),
  otid: v.exactOptional(reference()),
}));

/** Schema of {@link ToolReturn}. */
export const ToolReturnSchema: WireObjectSchema<ToolReturn> = /* @__PURE__ */ wireObject(() => ({
  status: v.picklist(["success", "error"]),
  tool_call_id: reference(),
  tool_return: either(Array.isArray, v.array(TextPartSchema), v.string(textOrParts)),
  stderr: v.exactOptional(v.nullable(v.array(v.string()))),
  stdout: v.exactOptional(v.nullable(v.array(v.string()))),
  type: v.exactOptional(v.literal("tool")),
}));

/** Schema of {@link ApprovalDecision}. */
export const ApprovalDecisionSchema: WireObjectSchema<ApprovalDecision> = /* @__PURE__ */ wireObject(() => ({
  approve: v.boolean(),
  tool_call_id: reference(),
  reason: v.exactOptional(v.nullable(v.string())),
  requested_at: v.exactOptional(v.nullable(v.number())),
  selected_permission_suggestion_ids: v.exactOptional(v.nullable(v.array(reference()))),
  type: v.exactOptional(v.literal("approval")),
  // valibot's own record schema accepts arrays.
  updated_input: v.exactOptional(v.nullable(v.custom<Record<string, unknown>>(isRecord, "must be an object"))),
}));

/** Schema of {@link ApprovalMessage}. */
export const ApprovalMessageSchema: WireObjectSchema<ApprovalMessage> = /* @__PURE__ */ wireObject(() => ({
  approvals: v.pipe(
    v.array(either(looksLikeToolReturn, ToolReturnSchema, ApprovalDecisionSchema)),
    v.minLength(1, "must have at least one approval"),
  ),
  type: v.literal("approval"),
}));

/** Schema of {@link SendMessageBody}. */
export const SendMessageBodySchema: WireObjectSchema<SendMessageBody> = /* @__PURE__ */ wireObject(() => ({
  messages: v.pipe(
    v.array(either(looksLikeApproval, ApprovalMessageSchema, UserMessageSchema)),
    v.minLength(1, "must have at least one message"),
  ),
  agentId: v.exactOptional(reference()),
  conversationId: v.exactOptional(v.nullable(conversationReference())),
}));

/** Schema of {@link SendMessageResponse}. `success` comes first because a guard reports the first member that does not match. */
export const SendMessageResponseSchema: WireObjectSchema<SendMessageResponse> = /* @__PURE__ */ wireObject(() => ({
  success: v.boolean(),
  message: v.string(),
  disposition: v.exactOptional(openEnum(["started", "queued"])),
  outcome: v.exactOptional(MessageStatusSchema),
}));
