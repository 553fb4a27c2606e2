/**
 * The endpoints of the API as data. Routing, authorisation, decoding, the OpenAPI document and the types of an operation's input
 * are all derived from this table.
 */
import type { GenericSchema } from "valibot";
import { allowsAgent, allowsMode, modeCeiling } from "../access/access.ts";
import type { Principal } from "../access/principal.ts";
import type { PlainResponse } from "../base/plain-http.ts";
import { problemResponse } from "../problems/problem.ts";
import {
  ChangeDirectoryBodySchema,
  ChangeDirectoryResponseSchema,
  ChangeModeBodySchema,
  ChangeModeResponseSchema,
  ConversationTargetSchema,
  RemoveQueueItemQuerySchema,
  RemoveQueueItemResponseSchema,
  ResumeQueueResponseSchema,
  StopTurnBodySchema,
  StopTurnResponseSchema,
  type ChangeDirectoryBody,
  type ChangeDirectoryResponse,
  type ChangeModeBody,
  type ChangeModeResponse,
  type ConversationTarget,
  type RemoveQueueItemQuery,
  type RemoveQueueItemResponse,
  type ResumeQueueResponse,
  type StopTurnBody,
  type StopTurnResponse,
} from "../schemas/control.ts";
import { bodyProblems, control, controlProblems, deviceProblems, get, smallBodyBytes } from "./endpoint-defaults.ts";
import { ApprovalListSchema, ListApprovalsQuerySchema } from "../schemas/approval.ts";
import type { ApprovalList, ListApprovalsQuery } from "../schemas/approval.ts";
import type { ControlOperation, Endpoint, Operation } from "./endpoint.ts";
import { EnvironmentListSchema, EnvironmentSchema } from "../schemas/environment.ts";
import type { Environment, EnvironmentList } from "../schemas/environment.ts";
import { EnvironmentPatchSchema, RemoveEnvironmentQuerySchema } from "../schemas/labels.ts";
import type { EnvironmentPatch, RemoveEnvironmentQuery } from "../schemas/labels.ts";
import { type LastRuntime, LastRuntimeSchema } from "../schemas/last-runtime.ts";
import { eventStreamMediaType, StreamEventsQuerySchema, type StreamEventsQuery } from "../schemas/event-stream.ts";
import { ListEnvironmentsQuerySchema, type ListEnvironmentsQuery } from "../schemas/list-query.ts";
import { SendMessageBodySchema, SendMessageResponseSchema } from "../schemas/message.ts";
import type { SendMessageBody, SendMessageResponse } from "../schemas/message.ts";
import { ListMessagesQuerySchema, MessageListSchema } from "../schemas/message-list.ts";
import type { DecodedListMessagesQuery, MessageList } from "../schemas/message-list.ts";
import { MessageStatusSchema, RetrieveMessageQuerySchema } from "../schemas/message-status.ts";
import type { MessageStatus, RetrieveMessageQuery } from "../schemas/message-status.ts";
import { RegisterRequestSchema, RegisterResponseSchema } from "../schemas/register.ts";
import type { RegisterRequest, RegisterResponse } from "../schemas/register.ts";
import { OpenViewerSocketQuerySchema, ViewerTicketSchema } from "../schemas/viewer.ts";
import type { OpenViewerSocketQuery, ViewerTicket } from "../schemas/viewer.ts";

export type { ControlOperation, Endpoint, Operation } from "./endpoint.ts";

/** The endpoint table. A new endpoint is one entry here. `never` marks an input that the endpoint does not take. */
export interface Endpoints {
  readonly listEnvironments: Endpoint<ListEnvironmentsQuery, never, EnvironmentList, never>;
  readonly retrieveEnvironment: Endpoint<never, never, Environment, "deviceId">;
  readonly sendMessage: Endpoint<never, SendMessageBody, SendMessageResponse, "connectionId">;
  readonly listMessages: Endpoint<DecodedListMessagesQuery, never, MessageList, "connectionId">;
  readonly retrieveMessage: Endpoint<RetrieveMessageQuery, never, MessageStatus, "connectionId" | "clientMessageId">;
  readonly updateEnvironment: Endpoint<never, EnvironmentPatch, Environment, "deviceId">;
  readonly removeEnvironment: Endpoint<RemoveEnvironmentQuery, never, never, "deviceId">;
  readonly retrieveLastRuntime: Endpoint<never, never, LastRuntime, "agentId" | "conversationId">;
  readonly listApprovals: Endpoint<ListApprovalsQuery, never, ApprovalList, never>;
  readonly streamEvents: Endpoint<StreamEventsQuery, never, never, never>;
  readonly registerEnvironment: Endpoint<never, RegisterRequest, RegisterResponse, never>;
  readonly openDeviceSocket: Endpoint<never, never, never, "connectionId">;
  readonly openViewerSocket: Endpoint<OpenViewerSocketQuery, never, never, "connectionId">;
  readonly createViewerTicket: Endpoint<never, never, ViewerTicket, "connectionId">;
  readonly stopTurn: Endpoint<never, StopTurnBody, StopTurnResponse, "connectionId">;
  readonly changeMode: Endpoint<never, ChangeModeBody, ChangeModeResponse, "connectionId">;
  readonly changeDirectory: Endpoint<never, ChangeDirectoryBody, ChangeDirectoryResponse, "connectionId">;
  readonly resumeQueue: Endpoint<never, ConversationTarget, ResumeQueueResponse, "connectionId">;
  readonly removeQueueItem: Endpoint<RemoveQueueItemQuery, never, RemoveQueueItemResponse, "connectionId" | "itemId">;
}

/** An endpoint of the table. */
export type KnownEndpoint = Endpoints[Operation];

/** The decoded input of one operation. `query` and `body` are `null` when the endpoint takes none. */
export interface OperationInput<Name extends Operation> {
  /** The ids in the path, by the names in the endpoint's `params`. */
  readonly params: Readonly<Record<Endpoints[Name]["params"][number], string>>;
  readonly query: DecodedBy<Endpoints[Name]["query"]>;
  readonly body: DecodedBy<Endpoints[Name]["body"]>;
}

/** The decoded input of each operation. With `Operation` as the name, it is the input of any of them. */
export type OperationInputs = { readonly [Name in Operation]: OperationInput<Name> };

type DecodedBy<Schema extends GenericSchema | null> =
  NonNullable<Schema> extends GenericSchema<unknown, infer Value> ? ([Value] extends [never] ? null : Value) : never;

/** The operation and decoded input of a request. A `switch` on `operation` narrows `params`, `query` and `body`. */
export type DecodedRequest = {
  [Name in Operation]: { readonly operation: Name } & OperationInput<Name>;
}[Operation];

/** A request that controls a conversation on a device. */
export type ControlRequest = Extract<DecodedRequest, { readonly operation: ControlOperation }>;

/** The endpoints of the API, and the two that devices use. */
export const endpoints: Endpoints = {
  listEnvironments: {
    ...get,
    operation: "listEnvironments",
    path: "/v1/environments",
    scope: "list",
    query: ListEnvironmentsQuerySchema,
    response: EnvironmentListSchema,
    problems: ["invalid_request", "storage_unavailable"],
  },
  retrieveEnvironment: {
    ...get,
    operation: "retrieveEnvironment",
    path: "/v1/environments/{deviceId}",
    scope: "read",
    params: ["deviceId"],
    response: EnvironmentSchema,
    problems: ["invalid_id", "environment_not_found", "storage_unavailable"],
  },
  sendMessage: {
    operation: "sendMessage",
    method: "POST",
    path: "/v1/environments/{connectionId}/messages",
    audience: "caller",
    scope: "send",
    params: ["connectionId"],
    query: null,
    body: SendMessageBodySchema,
    response: SendMessageResponseSchema,
    successStatus: 200,
    problems: [
      ...bodyProblems,
      "invalid_request",
      "invalid_id",
      "connection_not_found",
      "device_offline",
      "connection_replaced",
      "input_rejected",
      "approval_decided",
      "approval_not_found",
      "agents_api_missing",
      "agent_not_allowed",
      "mode_not_allowed",
      "agent_required",
      "approvals_unsupported",
      "message_id_reused",
      "mode_not_set",
      "queue_full",
      "storage_unavailable",
      "delivery_unknown",
    ],
  },
  listMessages: {
    ...get,
    operation: "listMessages",
    path: "/v1/environments/{connectionId}/messages",
    scope: "read",
    params: ["connectionId"],
    extension: true,
    query: ListMessagesQuerySchema,
    response: MessageListSchema,
    problems: ["invalid_request", "invalid_id", "connection_not_found", "storage_unavailable"],
  },
  retrieveMessage: {
    ...get,
    operation: "retrieveMessage",
    path: "/v1/environments/{connectionId}/messages/{clientMessageId}",
    scope: "read",
    params: ["connectionId", "clientMessageId"],
    references: ["clientMessageId"],
    extension: true,
    query: RetrieveMessageQuerySchema,
    response: MessageStatusSchema,
    problems: ["invalid_request", "invalid_id", "message_not_found", "message_ambiguous", "storage_unavailable"],
  },
  updateEnvironment: {
    operation: "updateEnvironment",
    method: "PATCH",
    path: "/v1/environments/{deviceId}",
    audience: "caller",
    scope: "admin",
    extension: true,
    params: ["deviceId"],
    query: null,
    body: EnvironmentPatchSchema,
    maxBodyBytes: smallBodyBytes,
    response: EnvironmentSchema,
    successStatus: 200,
    problems: [...bodyProblems, ...deviceProblems],
  },
  removeEnvironment: {
    operation: "removeEnvironment",
    method: "DELETE",
    path: "/v1/environments/{deviceId}",
    audience: "caller",
    scope: "admin",
    ownerScope: "connect",
    extension: true,
    params: ["deviceId"],
    query: RemoveEnvironmentQuerySchema,
    body: null,
    response: null,
    successStatus: 204,
    problems: deviceProblems,
  },
  retrieveLastRuntime: {
    ...get,
    operation: "retrieveLastRuntime",
    path: "/v1/environments/runtimes/{agentId}/{conversationId}/last",
    scope: "read",
    extension: true,
    params: ["agentId", "conversationId"],
    references: ["agentId", "conversationId"],
    response: LastRuntimeSchema,
    problems: ["invalid_id", "environment_not_found", "storage_unavailable"],
  },
  listApprovals: {
    ...get,
    operation: "listApprovals",
    path: "/v1/environments/approvals",
    scope: "approve",
    extension: true,
    query: ListApprovalsQuerySchema,
    response: ApprovalListSchema,
    problems: ["invalid_request", "storage_unavailable"],
  },
  streamEvents: {
    ...get,
    operation: "streamEvents",
    path: "/v1/environments/events",
    scope: "list",
    otherScopes: ["read"],
    extension: true,
    query: StreamEventsQuerySchema,
    response: null,
    mediaType: eventStreamMediaType,
    problems: ["invalid_request", "storage_unavailable"],
  },
  registerEnvironment: {
    operation: "registerEnvironment",
    method: "POST",
    path: "/v1/environments/register",
    audience: "device",
    scope: "connect",
    params: [],
    query: null,
    body: RegisterRequestSchema,
    maxBodyBytes: smallBodyBytes,
    response: RegisterResponseSchema,
    successStatus: 200,
    problems: [
      ...bodyProblems,
      "invalid_request",
      "device_not_allowed",
      "device_owned_by_another_key",
      "device_throttled",
      "storage_unavailable",
    ],
  },
  openDeviceSocket: {
    ...get,
    operation: "openDeviceSocket",
    path: "/v1/environments/{connectionId}/socket",
    audience: "device",
    scope: "connect",
    params: ["connectionId"],
    response: null,
    successStatus: 101,
    problems: [
      "invalid_id",
      "connection_not_found",
      "connection_replaced",
      "device_owned_by_another_key",
      "device_throttled",
      "storage_unavailable",
      "upgrade_required",
    ],
  },
  openViewerSocket: {
    ...get,
    operation: "openViewerSocket",
    path: "/v1/environments/{connectionId}/status/ws",
    extension: true,
    scope: "view",
    params: ["connectionId"],
    query: OpenViewerSocketQuerySchema,
    response: null,
    successStatus: 101,
    problems: [
      "invalid_request",
      "invalid_id",
      "connection_not_found",
      "device_offline",
      "connection_replaced",
      "agent_not_allowed",
      "origin_not_allowed",
      "too_many_viewers",
      "storage_unavailable",
      "upgrade_required",
    ],
  },
  createViewerTicket: {
    operation: "createViewerTicket",
    method: "POST",
    path: "/v1/environments/{connectionId}/status/ws-ticket",
    audience: "caller",
    extension: true,
    scope: "view",
    params: ["connectionId"],
    query: null,
    body: null,
    response: ViewerTicketSchema,
    successStatus: 200,
    problems: ["invalid_id", "connection_not_found", "too_many_viewers", "storage_unavailable"],
  },
  stopTurn: {
    ...control,
    operation: "stopTurn",
    path: "/v1/environments/{connectionId}/stop",
    body: StopTurnBodySchema,
    response: StopTurnResponseSchema,
  },
  changeMode: {
    ...control,
    operation: "changeMode",
    path: "/v1/environments/{connectionId}/mode",
    body: ChangeModeBodySchema,
    response: ChangeModeResponseSchema,
    problems: [...control.problems, "mode_not_allowed"],
  },
  changeDirectory: {
    ...control,
    operation: "changeDirectory",
    path: "/v1/environments/{connectionId}/directory",
    body: ChangeDirectoryBodySchema,
    response: ChangeDirectoryResponseSchema,
  },
  resumeQueue: {
    ...control,
    operation: "resumeQueue",
    path: "/v1/environments/{connectionId}/queue/resume",
    body: ConversationTargetSchema,
    response: ResumeQueueResponseSchema,
  },
  removeQueueItem: {
    ...control,
    operation: "removeQueueItem",
    method: "DELETE",
    path: "/v1/environments/{connectionId}/queue/{itemId}",
    params: ["connectionId", "itemId"],
    query: RemoveQueueItemQuerySchema,
    body: null,
    response: RemoveQueueItemResponseSchema,
    problems: controlProblems,
  },
};

/** Returns the agent and the conversation that a request controls; `null` if it controls none. */
export function controlTargetOf(request: DecodedRequest): ConversationTarget | null {
  if (!isControlRequest(request)) return null;
  return request.operation === "removeQueueItem" ? request.query : request.body;
}

/**
 * Returns 403 for a request that controls an agent outside the principal's list, or that sets a mode beyond the one that the principal may choose;
 * `null` for any other request.
 */
export function refuseControl(principal: Principal, request: DecodedRequest): PlainResponse | null {
  const target = controlTargetOf(request);
  if (target === null) return null;
  // An empty id counts as none.
  if (!allowsAgent(principal, target.agentId || undefined)) {
    return problemResponse("agent_not_allowed", { detail: "The gateway key may not control this agent." });
  }
  const maxMode = modeCeiling(principal);
  if (request.operation !== "changeMode" || allowsMode({ maxMode }, request.body.mode)) return null;
  const detail = `The gateway key may not set a mode beyond '${maxMode}'. Nothing was changed.`;
  return problemResponse("mode_not_allowed", { detail });
}

/**
 * Whether a request is a command whose repeat could undo later commands: a resume releases messages that another stop has paused, a mode
 * replaces a stricter one, and a stop that names no run ends the next turn.
 */
export function isUnrepeatableCommand(request: DecodedRequest): boolean {
  if (request.operation === "stopTurn") return request.body.runId === undefined;
  return request.operation === "resumeQueue" || request.operation === "changeMode";
}

/** Only the scope decides, so that no control operation can be forgotten here. */
function isControlRequest(request: DecodedRequest): request is ControlRequest {
  return endpoints[request.operation].scope === "control";
}
