/** The module `@letta-environments/client`: a typed client, its operations as separate functions, and the types of the API. */
export {
  type ApprovalsResource,
  type Client,
  type ClientOptions,
  createClient,
  type EnvironmentsResource,
  type MessagesResource,
  type SendToDevice,
} from "./client.ts";
export {
  type AbortedError,
  type AmbiguousDeviceError,
  type ApprovalDecidedError,
  type ClientErrorCode,
  type DeviceError,
  type EnvironmentsError,
  type ErrorCode,
  type ErrorDetails,
  type InvalidArgumentError,
  type InvalidResponseError,
  isLettaEnvironmentsError,
  LettaEnvironmentsError,
  type NoResponseError,
  type PlainHttpError,
  type ProblemError,
} from "./error.ts";
export {
  type ApprovalDetails,
  type ApprovalVerdict,
  approve,
  decideApproval,
  type DecideApprovals,
  deny,
  listApprovals,
  type ListApprovalsInput,
} from "./operations/approvals.ts";
export {
  type ConversationInput,
  removeQueueItem,
  resumeQueue,
  setDirectory,
  setMode,
  stop,
  type StopInput,
} from "./operations/control.ts";
export {
  removeEnvironment,
  type RemoveEnvironmentInput,
  retrieveEnvironment,
  updateEnvironment,
  type UpdateEnvironmentInput,
} from "./operations/environment.ts";
export { type StreamedEvent, streamEvents, type StreamEventsOptions } from "./operations/events.ts";
export type { DeviceSelector, FoundDevice } from "./operations/find-device.ts";
export {
  listAllEnvironments,
  listEnvironmentPages,
  listEnvironments,
  type ListEnvironmentsInput,
} from "./operations/list.ts";
export { listAllMessages, listMessages, type ListMessagesInput } from "./operations/messages.ts";
export {
  type ApprovalMessageInput,
  assignMessageIds,
  type SendMessageInput,
  type UserMessageInput,
} from "./operations/message.ts";
export { retrieveLastRuntime, type RuntimeSelector } from "./operations/last-runtime.ts";
export { sendMessage, type SendMessageResult, type SendOptions, type SendOutcome } from "./operations/send.ts";
export {
  type SendAndMaybeWaitOptions,
  type SendAndWaitOptions,
  type SendAndWaitResult,
  sendToDevice,
  type SendToDeviceOptions,
  type SendToDeviceResult,
} from "./operations/send-to-device.ts";
export {
  readTurn,
  retrieveMessage,
  type RetrieveMessageInput,
  type Turn,
  type TurnOutcome,
  waitForTurn,
  type WaitForTurnOptions,
} from "./operations/turn.ts";
export { type EnvironmentEvent, watchEnvironments, type WatchOptions } from "./operations/watch.ts";
export type {
  HeadersInput,
  RequestOptions,
  ResponseMismatch,
  SuccessResponse,
  TransportEvent,
  TransportOptions,
} from "./options.ts";
export type {
  Call,
  Fetch,
  HttpRequest,
  InputOf,
  Middleware,
  Next,
  PendingCall,
  ReadonlyLists,
  TransportRequest,
  TransportResponse,
} from "./request.ts";
export { maxRetryAfterMs, type RepeatSafety } from "./retry.ts";
export { createTransport, type Transport } from "./transport.ts";
export type {
  Approval,
  ApprovalDecision,
  ApprovalList,
  ApprovalMessage,
  ApprovalSuggestion,
  ChangeDirectoryResponse,
  ChangeModeResponse,
  DecidedApproval,
  Environment,
  EnvironmentList,
  EnvironmentMetadata,
  EnvironmentMode,
  EnvironmentPatch,
  ListedMessageState,
  ListMessagesQuery,
  MessageList,
  MessageState,
  MessageStatus,
  Problem,
  ProblemCode,
  ProblemIssue,
  RemoveQueueItemResponse,
  ResumeQueueResponse,
  RetrieveMessageQuery,
  SelfUpdate,
  SendMessageBody,
  SendMessageResponse,
  StopTurnResponse,
  TextPart,
  ToolReturn,
  TurnUsage,
  UserMessage,
} from "@letta-environments/schema";
export { isOnline } from "@letta-environments/schema/presence";
