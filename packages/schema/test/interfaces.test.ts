import { expect, test } from "vitest";
import * as schema from "../src/index.ts";
import { schemaFields } from "./schema-fields.ts";

type Presence<Type, Key extends keyof Type> = Record<never, never> extends Pick<Type, Key> ? "optional" : "required";
type Nullability<Member> = null extends Member ? " | null" : "";
type Shape<Type> = {
  [Key in keyof Type]-?: `${Presence<Type, Key>}${Nullability<Type[Key]>}`;
};

/** Written by hand. The compiler compares it with the interface, and the test below with the schema. */
const environment: Shape<schema.Environment> = {
  id: "required",
  connectedAt: "required | null",
  connectionId: "required | null",
  connectionName: "required",
  deviceId: "required",
  firstSeenAt: "required",
  lastHeartbeat: "required | null",
  lastSeenAt: "required",
  organizationId: "required",
  podId: "required | null",
  apiKeyOwner: "optional",
  currentMode: "optional",
  displayName: "optional",
  listenerInstanceId: "optional",
  metadata: "optional",
  tags: "optional",
  pendingApprovals: "optional",
  sendProblem: "optional",
  userId: "optional",
};
const metadata: Shape<schema.EnvironmentMetadata> = {
  gitBranch: "optional",
  lettaCodeVersion: "optional",
  nodeVersion: "optional",
  os: "optional",
  self_update: "optional",
  supported_commands: "optional",
  workingDirectory: "optional",
};
const selfUpdate: Shape<schema.SelfUpdate> = {
  supported: "required",
  writable: "required",
  install_path: "optional",
  manual_command: "optional",
  reason: "optional",
};
const query: Shape<schema.ListEnvironmentsQuery> = {
  after: "optional",
  limit: "optional",
  onlineOnly: "optional",
  source: "optional",
  userId: "optional",
  tag: "optional",
};
const sendBody: Shape<schema.SendMessageBody> = {
  messages: "required",
  agentId: "optional",
  conversationId: "optional | null",
};
const userMessage: Shape<schema.UserMessage> = {
  client_message_id: "required",
  content: "required",
  role: "required",
  otid: "optional",
};
const toolReturn: Shape<schema.ToolReturn> = {
  status: "required",
  tool_call_id: "required",
  tool_return: "required",
  stderr: "optional | null",
  stdout: "optional | null",
  type: "optional",
};
const decision: Shape<schema.ApprovalDecision> = {
  approve: "required",
  tool_call_id: "required",
  reason: "optional | null",
  requested_at: "optional | null",
  selected_permission_suggestion_ids: "optional | null",
  type: "optional",
  updated_input: "optional | null",
};
const registerRequest: Shape<schema.RegisterRequest> = {
  deviceId: "required",
  connectionName: "required",
  listenerInstanceId: "optional",
  metadata: "optional",
};
const registerResponse: Shape<schema.RegisterResponse> = {
  connectionId: "required",
  wsUrl: "required",
  supportsSplitStatusChannels: "optional",
  supportsPairedListenerGenerations: "optional",
};
const problem: Shape<schema.Problem> = {
  type: "required",
  title: "required",
  status: "required",
  detail: "required",
  message: "required",
  error: "required",
  errorCode: "required",
  errors: "optional",
  delivery: "optional",
  "violated-policies": "optional",
  parts: "optional",
};

const usage: Shape<schema.TurnUsage> = {
  cachedInputTokens: "optional",
  cacheWriteTokens: "optional",
  completionTokens: "optional",
  contextTokens: "optional",
  promptTokens: "optional",
  reasoningTokens: "optional",
  stepCount: "optional",
  totalTokens: "optional",
};
const listMessagesQuery: Shape<schema.ListMessagesQuery> = {
  after: "optional",
  agentId: "optional",
  conversationId: "optional",
  include: "optional",
  limit: "optional",
  state: "optional",
};
const messageQuery: Shape<schema.RetrieveMessageQuery> = {
  agentId: "optional",
  conversationId: "optional",
  wait: "optional",
  waitSeconds: "optional",
};
const messageStatus: Shape<schema.MessageStatus> = {
  agentId: "required | null",
  clientMessageId: "required",
  conversationId: "required",
  deviceId: "required",
  state: "required",
  sentAt: "optional",
  updatedAt: "optional",
  disposition: "optional",
  durationMs: "optional",
  error: "optional",
  stopReason: "optional",
  text: "optional",
  textTruncated: "optional",
  usage: "optional",
  waitSeconds: "optional",
};

const anyInput = { any: "" };

test.each([
  ["Environment", environment, schema.EnvironmentSchema],
  ["EnvironmentMetadata", metadata, schema.EnvironmentMetadataSchema],
  ["SelfUpdate", selfUpdate, schema.SelfUpdateSchema],
  [
    "EnvironmentList",
    { connections: "required", hasNextPage: "required" } satisfies Shape<schema.EnvironmentList>,
    schema.EnvironmentListSchema,
  ],
  ["ListEnvironmentsQuery", query, schema.ListEnvironmentsQuerySchema],
  ["SendMessageBody", sendBody, schema.SendMessageBodySchema],
  [
    "SendMessageResponse",
    {
      message: "required",
      success: "required",
      disposition: "optional",
      outcome: "optional",
    } satisfies Shape<schema.SendMessageResponse>,
    schema.SendMessageResponseSchema,
  ],
  ["MessageStatus", messageStatus, schema.MessageStatusSchema],
  ["TurnUsage", usage, schema.TurnUsageSchema],
  [
    "MessageList",
    { messages: "required", hasNextPage: "required", cursor: "required | null" } satisfies Shape<schema.MessageList>,
    schema.MessageListSchema,
  ],
  ["ListMessagesQuery", listMessagesQuery, schema.ListMessagesQuerySchema],
  ["RetrieveMessageQuery", messageQuery, schema.RetrieveMessageQuerySchema],
  [
    "StreamEventsQuery",
    { deviceId: "optional", include: "optional" } satisfies Shape<schema.StreamEventsQuery>,
    schema.StreamEventsQuerySchema,
  ],
  ["UserMessage", userMessage, schema.UserMessageSchema],
  ["TextPart", { text: "required", type: "required" } satisfies Shape<schema.TextPart>, schema.TextPartSchema],
  [
    "ApprovalMessage",
    { approvals: "required", type: "required" } satisfies Shape<schema.ApprovalMessage>,
    schema.ApprovalMessageSchema,
  ],
  ["ToolReturn", toolReturn, schema.ToolReturnSchema],
  ["ApprovalDecision", decision, schema.ApprovalDecisionSchema],
  ["RegisterRequest", registerRequest, schema.RegisterRequestSchema],
  ["RegisterResponse", registerResponse, schema.RegisterResponseSchema],
  ["Problem", problem, schema.ProblemSchema],
] as const)(
  "the interface and the schema of %s have the same members, presence and nullability",
  (_name, shape, given) => {
    const examples = Object.fromEntries(
      ["messages[]", "content", "tool_return", "approvals[]"].map((path) => [path, anyInput]),
    );
    const fields = [...schemaFields(given, nested(examples))].filter(([path]) => /^[\w-]+$/.test(path));
    const found = fields.map(([path, field]) => [
      path,
      `${field.split(" ", 1)[0]}${field.endsWith("| null") ? " | null" : ""}`,
    ]);
    expect(Object.fromEntries(found)).toEqual(shape);
  },
);

/** Adds examples for the lazy members below `messages[]`. Any choice works here. */
function nested(
  examples: Readonly<Record<string, Readonly<Record<string, unknown>>>>,
): Record<string, Record<string, unknown>> {
  return { ...examples, "messages[]<any>.content": anyInput };
}
