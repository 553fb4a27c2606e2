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

/** Valid bodies of every type with a guard. */
const bodiesOf: Readonly<Record<string, readonly unknown[]>> = {
  Environment: rows,
  EnvironmentList: [readFixture("api-example"), { connections: rows, hasNextPage: false }],
  ListEnvironmentsWireQuery: [
    {},
    { after: "env-1", limit: "20", onlineOnly: "true", source: "remote", userId: "user-1" },
    { tag: ["ci"] },
  ],
  SendMessageBody: [readFixture("letta-code-send"), readFixture("approval-send")],
  SendMessageResponse: [
    { message: "Message delivered", success: true },
    {
      message: "Message accepted by the device (started).",
      success: true,
      disposition: "started",
      outcome: { agentId: null, clientMessageId: "m", conversationId: "c", deviceId: "d", state: "finished" },
    },
  ],
  StreamEventsQuery: [{}, { deviceId: "demo", include: "output" }],
  RetrieveMessageWireQuery: [
    {},
    { agentId: "agent-1", conversationId: "default", wait: "finished", waitSeconds: "90" },
  ],
  MessageStatus: [readFixture("message-status")],
  ListMessagesWireQuery: [
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
  MessageList: [
    { messages: [], hasNextPage: false, cursor: null },
    { messages: [readFixture("message-status")], hasNextPage: true, cursor: "1795000040000.WyJhIl0" },
  ],
  ListApprovalsWireQuery: [{}, { after: "1795000030000.0f6c9f6e3a015f0a0e0c6cf9", limit: "20" }],
  ApprovalList: [
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
  OpenViewerSocketQuery: [{}, { agentId: "agent-1", conversationId: "default", channel: "stream", token: "ticket-1" }],
  ViewerTicket: [{ expiresAt: 1_790_000_060_000, ticket: "ticket-1" }],
  StopTurnBody: [{ agentId: "agent-1", conversationId: null, runId: "run-1" }, { conversationId: "conv-1" }],
  StopTurnResponse: [{ stopped: true }],
  ChangeModeBody: [
    { agentId: "agent-1", mode: "standard" },
    { conversationId: "conv-1", mode: "bypassPermissions" },
  ],
  ChangeModeResponse: [{ mode: "newer" }],
  ChangeDirectoryBody: [
    { agentId: "agent-1", directory: "/code" },
    { conversationId: "conv-1", directory: "C:\\code" },
  ],
  ChangeDirectoryResponse: [{ directory: "/code" }],
  ConversationTarget: [{ agentId: "agent-1", conversationId: "conv-1" }, {}],
  ResumeQueueResponse: [{ resumed: 2 }],
  RemoveQueueItemQuery: [{ agentId: "agent-1", conversationId: "conv-1" }, { conversationId: "conv-1" }],
  RemoveQueueItemResponse: [{ removed: false }],
  RegisterRequest: [readFixture("letta-code-register")],
  RegisterResponse: [{ connectionId: "conn-1", wsUrl: "ws://localhost/socket", supportsSplitStatusChannels: true }],
  EnvironmentPatch: [
    { displayName: "Build machine 1", tags: ["ci"] },
    { displayName: null, tags: null },
  ],
  LastRuntime: [
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
  Problem: [
    schema.problemBody("missing_key"),
    schema.problemBody("rate_limited", { members: { "violated-policies": [] } }),
  ],
};

const exported: Readonly<Record<string, unknown>> = { ...schema, ...guards };

/** Every type with a guard. */
export const guardedTypes: readonly GuardedType[] = Object.entries(bodiesOf).map(([name, bodies]) => ({
  name,
  schema: find(`${name.replace("Wire", "")}Schema`),
  isValid: find(`is${name}`),
  findMismatch: find(`find${name}Mismatch`),
  bodies,
}));

function find<Value>(name: string): Value {
  if (exported[name] === undefined) throw new Error(`${name} is not exported`);
  return exported[name] as Value;
}
