/** Realistic bodies for the OpenAPI document. Tests check them against the schemas, and that they have no unknown member. */
import type {
  Approval,
  ApprovalEvent,
  ApprovalList,
  DecidedApproval,
  Environment,
  EnvironmentEvent,
  EnvironmentList,
  EnvironmentPatch,
  GapEvent,
  LastRuntime,
  MessageEvent,
  MessageStatus,
  OutputEvent,
  RegisterRequest,
  RegisterResponse,
  SendMessageBody,
} from "../../src/index.ts";

const online: Environment = {
  id: "env-7c1d",
  connectedAt: 1_795_000_000_000,
  connectionId: "env-conn-2b7e",
  connectionName: "build-farm-1",
  deviceId: "9b0f8a1e-3c64-4c5e-8d55-3f1f7d1f8f0a",
  firstSeenAt: 1_794_900_000_000,
  lastHeartbeat: 1_795_000_030_000,
  lastSeenAt: 1_795_000_030_000,
  organizationId: "default",
  podId: "pod-1",
  apiKeyOwner: "build farm",
  currentMode: "acceptEdits",
  displayName: "Build machine 1",
  listenerInstanceId: "server-6f1ed002ab559585",
  metadata: {
    gitBranch: "main",
    lettaCodeVersion: "0.32.18",
    nodeVersion: "v24.21.0",
    os: "linux",
    self_update: {
      supported: false,
      writable: false,
      manual_command: "npm install -g @letta-ai/letta-code",
      reason: "Not installed by a package manager",
    },
    supported_commands: ["clear", "compact", "doctor", "init"],
    workingDirectory: "/home/build/project",
  },
  tags: ["ci", "linux"],
  userId: "build farm",
};

const offline: Environment = {
  ...online,
  id: "env-8a02",
  connectedAt: null,
  connectionId: null,
  connectionName: "laptop",
  deviceId: "2f4c0c7a-61a7-4c0d-8b0b-7f3f6f1f2f55",
  lastHeartbeat: null,
  lastSeenAt: 1_794_950_000_000,
  podId: null,
  currentMode: "standard",
};

const list: EnvironmentList = { connections: [online, offline], hasNextPage: false };

const message: SendMessageBody = {
  agentId: "agent-local-2f1a",
  conversationId: "default",
  messages: [
    {
      role: "user",
      content: [{ type: "text", text: "Run the tests and fix what fails." }],
      client_message_id: "5f0a0e0c-6cf9-4c0e-8f0c-0f6c9f6e3a01",
    },
  ],
};

const messageStatus: MessageStatus = {
  agentId: "agent-local-2f1a",
  clientMessageId: "5f0a0e0c-6cf9-4c0e-8f0c-0f6c9f6e3a01",
  conversationId: "default",
  deviceId: "9b0f8a1e-3c64-4c5e-8d55-3f1f7d1f8f0a",
  sentAt: 1_795_000_040_000,
  state: "finished",
  updatedAt: 1_795_000_052_500,
  disposition: "started",
  durationMs: 12_400,
  stopReason: "end_turn",
  text: "All tests pass now. I changed one line in src/clock.ts.",
  textTruncated: false,
  usage: { completionTokens: 410, promptTokens: 5_120, stepCount: 3, totalTokens: 5_530 },
};

const { text: _text, textTruncated: _textTruncated, ...messageSummary } = messageStatus;

const patch: EnvironmentPatch = { displayName: "Build machine 1", tags: ["ci", "linux"] };

const lastRuntime: LastRuntime = {
  environmentId: online.id,
  deviceId: online.deviceId,
  connectionName: online.connectionName,
  metadata: online.metadata ?? null,
  status: "online",
  isOnline: true,
  lastSeenAt: online.lastSeenAt,
  lastUsedAt: 1_795_000_020_000,
  source: "environment",
};

const device = { deviceId: online.deviceId, connectionId: online.connectionId } as const;

const asked: Omit<Approval, "ageMs" | "expiresAt" | "input" | "inputTruncated"> = {
  id: "call-7f2a",
  ...device,
  agentId: "agent-local-2f1a",
  conversationId: "default",
  tool: "Bash",
  reason: null,
  suggestions: [{ id: "save-default", text: "Yes, and don't ask again for 'npm test' commands in this project" }],
  requestedAt: 1_795_000_030_000,
  clientMessageId: "5f0a0e0c-6cf9-4c0e-8f0c-0f6c9f6e3a01",
};
const pending: Omit<Approval, "ageMs"> = {
  ...asked,
  input: { command: "npm test", description: "Run the tests" },
  inputTruncated: false,
  expiresAt: null,
};
const decided: DecidedApproval = {
  ...asked,
  decision: "allow",
  decidedBy: "p8DxxlMoq9Es",
  decidedAt: 1_795_000_034_000,
};

const approvals: ApprovalList = {
  approvals: [{ ...pending, ageMs: 2_500 }],
  hasNextPage: false,
  cursor: "1795000030000.0f6c9f6e3a015f0a0e0c6cf9",
};

/** The id of an event. */
export const eventIdExample = "7368370e66b6504f9c33a5a1074bc924c239b2ef7d82";

/** Data of events, by their type. */
export const eventExamples: {
  readonly environment: readonly EnvironmentEvent[];
  readonly message: readonly MessageEvent[];
  readonly approval: readonly ApprovalEvent[];
  readonly output: readonly OutputEvent[];
  readonly gap: readonly GapEvent[];
} = {
  environment: [
    {
      ...device,
      environment: { id: online.id, deviceId: online.deviceId, currentMode: "acceptEdits", sendProblem: null },
    },
    { ...device, connectionId: null, environment: { id: online.id, deviceId: online.deviceId }, removed: true },
  ],
  message: [{ ...device, message: messageSummary }],
  approval: [
    { ...device, change: "requested", approval: pending },
    { ...device, change: "decided", approval: decided },
  ],
  output: [
    {
      ...device,
      agentId: "agent-local-2f1a",
      conversationId: "default",
      delta: { message_type: "assistant_message", id: "message-9c1e", content: "All tests pass now." },
    },
  ],
  gap: [{ reason: "expired" }],
};

const registration: RegisterRequest = {
  deviceId: "9b0f8a1e-3c64-4c5e-8d55-3f1f7d1f8f0a",
  connectionName: "build-farm-1",
  listenerInstanceId: "server-6f1ed002ab559585",
  metadata: { lettaCodeVersion: "0.32.18", nodeVersion: "v24.21.0", os: "linux" },
};

const registered: RegisterResponse = {
  connectionId: "env-conn-2b7e",
  wsUrl: "wss://gateway.example/v1/environments/env-conn-2b7e/socket",
};

/** A realistic body by the name of its interface. */
export const examples: ReadonlyMap<string, unknown> = new Map<string, unknown>([
  ["Environment", online],
  ["EnvironmentList", list],
  ["SendMessageBody", message],
  [
    "SendMessageResponse",
    { success: true, message: "Message accepted by the device (started).", disposition: "started" },
  ],
  ["MessageStatus", messageStatus],
  [
    "MessageList",
    {
      messages: [messageSummary],
      hasNextPage: true,
      cursor: "1795000040000.WyI1ZjBhMGUwYyIsImFnZW50LWxvY2FsLTJmMWEiLCJkZWZhdWx0Il0",
    },
  ],
  ["EnvironmentPatch", patch],
  ["LastRuntime", lastRuntime],
  ["StopTurnBody", { agentId: "agent-local-2f1a", conversationId: "default" }],
  ["StopTurnResponse", { stopped: true }],
  ["ChangeModeBody", { agentId: "agent-local-2f1a", mode: "standard" }],
  ["ChangeModeResponse", { mode: "standard" }],
  ["ChangeDirectoryBody", { agentId: "agent-local-2f1a", directory: "/home/build/project" }],
  ["ChangeDirectoryResponse", { directory: "/home/build/project" }],
  ["ConversationTarget", { agentId: "agent-local-2f1a" }],
  ["ResumeQueueResponse", { resumed: 2 }],
  ["RemoveQueueItemResponse", { removed: true }],
  ["ApprovalList", approvals],
  ["ViewerTicket", { expiresAt: 1_790_000_060_000, ticket: "ticket-01k5z4w7c3m8e2r6t9b1x0q5ja" }],
  ["RegisterRequest", registration],
  ["RegisterResponse", registered],
]);
