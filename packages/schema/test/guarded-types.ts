import type { GenericSchema } from "valibot";
import * as guards from "../src/checks/guards.gen.ts";
import * as schema from "../src/index.ts";
import { readFixture } from "./read-fixture.ts";

/** A wire type with its schema and guards, and valid bodies. */
export interface GuardedType {
  readonly name: string;
  readonly schema: GenericSchema;
  readonly isValid: (value: unknown) => boolean;
  readonly findMismatch: (value: unknown) => string | null;
  readonly bodies: readonly unknown[];
}

const rows = ["letta-code-row", "future-row", "offline-device"].map(readFixture);

/** Every type with a guard. */
export const guardedTypes: readonly GuardedType[] = [
  {
    name: "Environment",
    schema: schema.EnvironmentSchema,
    isValid: guards.isEnvironment,
    findMismatch: guards.findEnvironmentMismatch,
    bodies: rows,
  },
  {
    name: "EnvironmentList",
    schema: schema.EnvironmentListSchema,
    isValid: guards.isEnvironmentList,
    findMismatch: guards.findEnvironmentListMismatch,
    bodies: [readFixture("api-example"), { connections: rows, hasNextPage: false }],
  },
  {
    name: "ListEnvironmentsWireQuery",
    schema: schema.ListEnvironmentsQuerySchema,
    isValid: guards.isListEnvironmentsWireQuery,
    findMismatch: guards.findListEnvironmentsWireQueryMismatch,
    bodies: [
      {},
      { after: "env-1", limit: "20", onlineOnly: "true", source: "remote", userId: "user-1" },
      { tag: ["ci"] },
    ],
  },
  {
    name: "SendMessageBody",
    schema: schema.SendMessageBodySchema,
    isValid: guards.isSendMessageBody,
    findMismatch: guards.findSendMessageBodyMismatch,
    bodies: [readFixture("letta-code-send"), readFixture("approval-send")],
  },
  {
    name: "SendMessageResponse",
    schema: schema.SendMessageResponseSchema,
    isValid: guards.isSendMessageResponse,
    findMismatch: guards.findSendMessageResponseMismatch,
    bodies: [
      { message: "Message delivered", success: true },
      {
        message: "Message accepted by the device (started).",
        success: true,
        disposition: "started",
        outcome: { agentId: null, clientMessageId: "m", conversationId: "c", deviceId: "d", state: "finished" },
      },
    ],
  },
  {
    name: "StreamEventsQuery",
    schema: schema.StreamEventsQuerySchema,
    isValid: guards.isStreamEventsQuery,
    findMismatch: guards.findStreamEventsQueryMismatch,
    bodies: [{}, { deviceId: "demo", include: "output" }],
  },
  {
    name: "RetrieveMessageWireQuery",
    schema: schema.RetrieveMessageQuerySchema,
    isValid: guards.isRetrieveMessageWireQuery,
    findMismatch: guards.findRetrieveMessageWireQueryMismatch,
    bodies: [{}, { agentId: "agent-1", conversationId: "default", wait: "finished", waitSeconds: "90" }],
  },
  {
    name: "MessageStatus",
    schema: schema.MessageStatusSchema,
    isValid: guards.isMessageStatus,
    findMismatch: guards.findMessageStatusMismatch,
    bodies: [readFixture("message-status")],
  },
  {
    name: "ListMessagesWireQuery",
    schema: schema.ListMessagesQuerySchema,
    isValid: guards.isListMessagesWireQuery,
    findMismatch: guards.findListMessagesWireQueryMismatch,
    bodies: [
      {},
      {
        after: "1795000040000.WyJhIl0",
        agentId: ["agent-1", "agent-2"],
        conversationId: "default",
        include: "text",
        limit: "20",
        state: ["running", "finished"],
      },
    ],
  },
  {
    name: "MessageList",
    schema: schema.MessageListSchema,
    isValid: guards.isMessageList,
    findMismatch: guards.findMessageListMismatch,
    bodies: [
      { messages: [], hasNextPage: false, cursor: null },
      { messages: [readFixture("message-status")], hasNextPage: true, cursor: "1795000040000.WyJhIl0" },
    ],
  },
  {
    name: "ListApprovalsWireQuery",
    schema: schema.ListApprovalsQuerySchema,
    isValid: guards.isListApprovalsWireQuery,
    findMismatch: guards.findListApprovalsWireQueryMismatch,
    bodies: [{}, { after: "1795000030000.0f6c9f6e3a015f0a0e0c6cf9", limit: "20" }],
  },
  {
    name: "ApprovalList",
    schema: schema.ApprovalListSchema,
    isValid: guards.isApprovalList,
    findMismatch: guards.findApprovalListMismatch,
    bodies: [
      { approvals: [], hasNextPage: false, cursor: null },
      {
        approvals: [
          {
            id: "call-1",
            connectionId: "conn-1",
            deviceId: "device-1",
            agentId: null,
            conversationId: "default",
            tool: "Bash",
            input: { command: "ls" },
            inputTruncated: false,
            reason: null,
            suggestions: [{ id: "save", text: "Always" }],
            requestedAt: 1,
            ageMs: 0,
            expiresAt: null,
            clientMessageId: "m-1",
          },
        ],
        hasNextPage: true,
        cursor: "1.a",
      },
    ],
  },
  {
    name: "OpenViewerSocketQuery",
    schema: schema.OpenViewerSocketQuerySchema,
    isValid: guards.isOpenViewerSocketQuery,
    findMismatch: guards.findOpenViewerSocketQueryMismatch,
    bodies: [{}, { agentId: "agent-1", conversationId: "default", channel: "stream", token: "ticket-1" }],
  },
  {
    name: "ViewerTicket",
    schema: schema.ViewerTicketSchema,
    isValid: guards.isViewerTicket,
    findMismatch: guards.findViewerTicketMismatch,
    bodies: [{ expiresAt: 1_790_000_060_000, ticket: "ticket-1" }],
  },
  {
    name: "StopTurnBody",
    schema: schema.StopTurnBodySchema,
    isValid: guards.isStopTurnBody,
    findMismatch: guards.findStopTurnBodyMismatch,
    bodies: [{ agentId: "agent-1", conversationId: null, runId: "run-1" }, { conversationId: "conv-1" }],
  },
  {
    name: "StopTurnResponse",
    schema: schema.StopTurnResponseSchema,
    isValid: guards.isStopTurnResponse,
    findMismatch: guards.findStopTurnResponseMismatch,
    bodies: [{ stopped: true }],
  },
  {
    name: "ChangeModeBody",
    schema: schema.ChangeModeBodySchema,
    isValid: guards.isChangeModeBody,
    findMismatch: guards.findChangeModeBodyMismatch,
    bodies: [
      { agentId: "agent-1", mode: "standard" },
      { conversationId: "conv-1", mode: "bypassPermissions" },
    ],
  },
  {
    name: "ChangeModeResponse",
    schema: schema.ChangeModeResponseSchema,
    isValid: guards.isChangeModeResponse,
    findMismatch: guards.findChangeModeResponseMismatch,
    bodies: [{ mode: "newer" }],
  },
  {
    name: "ChangeDirectoryBody",
    schema: schema.ChangeDirectoryBodySchema,
    isValid: guards.isChangeDirectoryBody,
    findMismatch: guards.findChangeDirectoryBodyMismatch,
    bodies: [
      { agentId: "agent-1", directory: "/code" },
      { conversationId: "conv-1", directory: "C:\\code" },
    ],
  },
  {
    name: "ChangeDirectoryResponse",
    schema: schema.ChangeDirectoryResponseSchema,
    isValid: guards.isChangeDirectoryResponse,
    findMismatch: guards.findChangeDirectoryResponseMismatch,
    bodies: [{ directory: "/code" }],
  },
  {
    name: "ConversationTarget",
    schema: schema.ConversationTargetSchema,
    isValid: guards.isConversationTarget,
    findMismatch: guards.findConversationTargetMismatch,
    bodies: [{ agentId: "agent-1", conversationId: "conv-1" }, {}],
  },
  {
    name: "ResumeQueueResponse",
    schema: schema.ResumeQueueResponseSchema,
    isValid: guards.isResumeQueueResponse,
    findMismatch: guards.findResumeQueueResponseMismatch,
    bodies: [{ resumed: 2 }],
  },
  {
    name: "RemoveQueueItemQuery",
    schema: schema.RemoveQueueItemQuerySchema,
    isValid: guards.isRemoveQueueItemQuery,
    findMismatch: guards.findRemoveQueueItemQueryMismatch,
    bodies: [{ agentId: "agent-1", conversationId: "conv-1" }, { conversationId: "conv-1" }],
  },
  {
    name: "RemoveQueueItemResponse",
    schema: schema.RemoveQueueItemResponseSchema,
    isValid: guards.isRemoveQueueItemResponse,
    findMismatch: guards.findRemoveQueueItemResponseMismatch,
    bodies: [{ removed: false }],
  },
  {
    name: "RegisterRequest",
    schema: schema.RegisterRequestSchema,
    isValid: guards.isRegisterRequest,
    findMismatch: guards.findRegisterRequestMismatch,
    bodies: [readFixture("letta-code-register")],
  },
  {
    name: "RegisterResponse",
    schema: schema.RegisterResponseSchema,
    isValid: guards.isRegisterResponse,
    findMismatch: guards.findRegisterResponseMismatch,
    bodies: [{ connectionId: "conn-1", wsUrl: "ws://localhost/socket", supportsSplitStatusChannels: true }],
  },
  {
    name: "EnvironmentPatch",
    schema: schema.EnvironmentPatchSchema,
    isValid: guards.isEnvironmentPatch,
    findMismatch: guards.findEnvironmentPatchMismatch,
    bodies: [
      { displayName: "Build machine 1", tags: ["ci"] },
      { displayName: null, tags: null },
    ],
  },
  {
    name: "LastRuntime",
    schema: schema.LastRuntimeSchema,
    isValid: guards.isLastRuntime,
    findMismatch: guards.findLastRuntimeMismatch,
    bodies: [
      {
        environmentId: "env-1",
        deviceId: "device-1",
        connectionName: "box",
        metadata: { os: "linux" },
        status: "online",
        isOnline: true,
        lastSeenAt: 1,
        lastUsedAt: 1,
        source: "environment",
      },
    ],
  },
  {
    name: "Problem",
    schema: schema.ProblemSchema,
    isValid: guards.isProblem,
    findMismatch: guards.findProblemMismatch,
    bodies: [
      schema.problemBody("missing_key"),
      schema.problemBody("rate_limited", { members: { "violated-policies": [] } }),
    ],
  },
];
