/**
 * The module `@letta-environments/environment-server`: the server, and the types of its stores, logs and events. SQLite and Valkey are separate
 * modules.
 */
export type { Clock, RandomId, Sha256 } from "@letta-environments/platform";
export { createEnvironmentServer, type EnvironmentServer, type EnvironmentServerOptions } from "./server.ts";
export type {
  ChangeKind,
  ChangeLimits,
  AppendedChanges,
  ChangeLog,
  ChangeLogState,
  ChangePage,
  ChangeRecording,
  ChangeRetention,
  ChangeSelection,
  ChangeSeries,
  ChangeSubject,
  FormerSeries,
  NewChange,
  RemovedChanges,
  StoredChange,
} from "./change-log.ts";
export { ChangesLostError } from "./change-log.ts";
export {
  type SeparateApprovalLog,
  type SeparateLog,
  type SeparateLogs,
  type SeparateMessageLog,
  withSeparateLogs,
} from "./logs/separate.ts";
export type { StreamEnd } from "./changes/reader.ts";
export type { EventStream } from "./changes/streams.ts";
export type { DeviceReference, DisconnectReason, EnvironmentServerEvent } from "./log-events.ts";
export { createMemoryApprovalLog, createMemoryChangeLog, createMemoryMessageLog } from "./logs/memory.ts";
export {
  createMemoryBudget,
  type MemoryAccount,
  type MemoryBudget,
  type MemoryLimit,
  type MemoryLimits,
} from "./memory-budget.ts";
export type { EventsDecision, EventsRequest } from "./operations/events.ts";
export type { RequestContext } from "./operations/context.ts";
export { refuseInput } from "./operations/refuse-input.ts";
export type * from "./ports.ts";
export type {
  ApprovalExpiry,
  ApprovalKey,
  ApprovalLog,
  ApprovalLogLimits,
  ApprovalPolicyName,
  ApprovalRequest,
  ApprovalSuggestion,
  Decision,
  StoredApproval,
} from "./approval-log.ts";
export type {
  MessageFilter,
  MessageLog,
  MessageLogLimits,
  MessagePosition,
  MessageProgress,
  MessageReply,
  MessageState,
  StoredMessage,
  TurnCounter,
  TurnUsage,
} from "./message-log.ts";
export type { AdministeredDevice, DeviceAdministration } from "./operations/devices.ts";
export {
  createLocalRouter,
  type DeviceCall,
  type DeviceCallContext,
  type DeviceCallProgress,
  type DeviceOperation,
  type DeviceRequest,
  type DeviceRouter,
  type LocalDevices,
  type PresentCaller,
} from "./routing/router.ts";
export type { MaybePromise } from "@letta-environments/platform";
export type { ConnectedDevice, DeviceLocation, LocalSockets, Presence } from "./socket/connection.ts";
export type { ApiCall } from "./viewers/api-calls.ts";
export type { CommandFacts, ConnectedViewer, ViewerRequests } from "./viewers/ports.ts";
