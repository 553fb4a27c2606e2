import * as v from "valibot";
import { either } from "./either.ts";
import { isRecord } from "./is-record.ts";
import { wireObject } from "./wire-object.ts";
import { isMeantAsApproval, isMeantAsToolReturn, isWellFormed } from "./wire-rules.ts";

/** A piece of text in a message. */
export interface TextPart {
  text: string;
  type: "text";
}

/** A message from a person or a program to the agent on a device. */
export interface UserMessage {
  /** Chosen by the caller, once per logical message and kept over retries: a repeated id answers its first result. */
  client_message_id: string;
  content: string | TextPart[];
  role: "user";
  /** Id under which the message is stored by the agent; a device takes `client_message_id` when it is absent. */
  otid?: string;
}

/** The result of a tool that the caller ran itself. */
export interface ToolReturn {
  status: "success" | "error";
  tool_call_id: string;
  tool_return: string | TextPart[];
  stderr?: string[] | null;
  stdout?: string[] | null;
  type?: "tool";
}

/** The answer to one request for permission. */
export interface ApprovalDecision {
  approve: boolean;
  tool_call_id: string;
  reason?: string | null;
  type?: "approval";
  /** Replaces the input with which the tool would have run. */
  updated_input?: Record<string, unknown> | null;
}

/** Answers to requests for permission; the members of `approvals` are told apart by `approve` and `status`. */
export interface ApprovalMessage {
  approvals: (ToolReturn | ApprovalDecision)[];
  type: "approval";
}

/** What a caller sends to a connection. */
export interface SendMessageBody {
  messages: (UserMessage | ApprovalMessage)[];
  agentId?: string;
  /** The agent's own conversation when absent, null or `default`. */
  conversationId?: string | null;
}

/** The device has taken the message, or said why not. It says nothing about the turn that follows. */
export interface SendMessageResponse {
  message: string;
  success: boolean;
}

/** Longest id of a message, an agent or a conversation, in UTF-16 code units. */
export const maxReferenceLength = 256;

const wellFormed = v.check(isWellFormed, "must be well-formed Unicode, without unpaired surrogates");

const ReferenceSchema = v.pipe(
  v.string(),
  wellFormed,
  v.minLength(1, "must not be empty"),
  v.maxLength(maxReferenceLength, `must have at most ${maxReferenceLength} characters`),
);

/** {@link TextPart}. */
export const TextPartSchema: v.GenericSchema<unknown, TextPart> = wireObject({
  text: v.string(),
  type: v.literal("text"),
});

const TextSchema = v.pipe(v.string(), v.minLength(1, "must not be empty"));
const TextPartsSchema = v.pipe(v.array(TextPartSchema), v.minLength(1, "must have at least one part"));

const ContentSchema = either(Array.isArray, TextPartsSchema, TextSchema);

const ToolTextSchema = either(Array.isArray, v.array(TextPartSchema), v.string());

/** {@link UserMessage}, strict on known members; unknown ones are kept. */
export const UserMessageSchema: v.GenericSchema<unknown, UserMessage> = wireObject({
  client_message_id: ReferenceSchema,
  content: ContentSchema,
  role: v.literal("user"),
  otid: v.exactOptional(ReferenceSchema),
});

/** {@link ToolReturn}, strict on known members. */
export const ToolReturnSchema: v.GenericSchema<unknown, ToolReturn> = wireObject({
  status: v.picklist(["success", "error"]),
  tool_call_id: ReferenceSchema,
  tool_return: ToolTextSchema,
  stderr: v.exactOptional(v.nullable(v.array(v.string()))),
  stdout: v.exactOptional(v.nullable(v.array(v.string()))),
  type: v.exactOptional(v.literal("tool")),
});

// A record schema of valibot's own lets arrays pass.
const RecordSchema = v.custom<Record<string, unknown>>(isRecord, "must be an object");

/** {@link ApprovalDecision}, strict on known members. */
export const ApprovalDecisionSchema: v.GenericSchema<unknown, ApprovalDecision> = wireObject({
  approve: v.boolean(),
  tool_call_id: ReferenceSchema,
  reason: v.exactOptional(v.nullable(v.string())),
  type: v.exactOptional(v.literal("approval")),
  updated_input: v.exactOptional(v.nullable(RecordSchema)),
});

const ApprovalSchema = either(isMeantAsToolReturn, ToolReturnSchema, ApprovalDecisionSchema);

/** {@link ApprovalMessage}, strict on known members. */
export const ApprovalMessageSchema: v.GenericSchema<unknown, ApprovalMessage> = wireObject({
  approvals: v.pipe(v.array(ApprovalSchema), v.minLength(1, "must have at least one approval")),
  type: v.literal("approval"),
});

const MessageSchema = either(isMeantAsApproval, ApprovalMessageSchema, UserMessageSchema);

/** {@link SendMessageBody}, strict on known members; unknown ones are kept for an upstream that knows more. */
export const SendMessageBodySchema: v.GenericSchema<unknown, SendMessageBody> = wireObject({
  messages: v.pipe(v.array(MessageSchema), v.minLength(1, "must have at least one message")),
  agentId: v.exactOptional(ReferenceSchema),
  conversationId: v.exactOptional(
    v.nullable(
      v.pipe(
        v.string(),
        wellFormed,
        v.maxLength(maxReferenceLength, `must have at most ${maxReferenceLength} characters`),
      ),
    ),
  ),
});

export { SendMessageResponseSchema } from "./send-message-response-schema.ts";

export { isApprovalMessage } from "./is-approval-message.ts";
