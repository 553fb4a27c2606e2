export { type Client, type ClientOptions, createClient, type EnvironmentsResource } from "./client.ts";
export {
  type AbortedError,
  type AmbiguousDeviceError,
  type ClientErrorCode,
  type DeviceError,
  type EnvironmentsError,
  type ErrorCode,
  type ErrorDetails,
  type InvalidArgumentError,
  isLettaEnvironmentsError,
  LettaEnvironmentsError,
  type NoAnswerError,
  type PlainHttpError,
  type ProblemError,
  type UnusableAnswerError,
} from "./error.ts";
export { type AnswerApprovals, approve, type ApprovalDetails, deny } from "./operations/approvals.ts";
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
  type DeviceSelector,
  sendToDevice,
  type SendToDeviceOptions,
  type SendToDeviceResult,
} from "./operations/device.ts";
export {
  listAllEnvironments,
  listEnvironmentPages,
  listEnvironments,
  type ListEnvironmentsInput,
} from "./operations/list.ts";
export { removeEnvironment, type RemoveEnvironmentInput, updateEnvironment } from "./operations/manage.ts";
export { assignMessageIds, type SendMessageInput, type UserMessageInput } from "./operations/message.ts";
export { retrieveEnvironment } from "./operations/retrieve.ts";
export { sendMessage, type SendMessageResult, type SendOptions, type SendOutcome } from "./operations/send.ts";
export { type EnvironmentEvent, watchEnvironments, type WatchOptions } from "./operations/watch.ts";
export type {
  Answer,
  AnswerMismatch,
  HeadersInput,
  RequestOptions,
  TransportEvent,
  TransportOptions,
} from "./options.ts";
export type {
  Call,
  Fetch,
  HttpRequest,
  Middleware,
  Next,
  PendingCall,
  TransportRequest,
  TransportResponse,
} from "./request.ts";
export { maxRetryAfterMs, type RepeatSafety } from "./retry.ts";
export { createTransport, type Transport } from "./transport.ts";
export type {
  ApprovalDecision,
  ApprovalMessage,
  ChangeDirectoryResponse,
  ChangeModeResponse,
  Environment,
  EnvironmentList,
  EnvironmentMetadata,
  EnvironmentMode,
  EnvironmentPatch,
  Problem,
  ProblemCode,
  ProblemIssue,
  RemoveQueueItemResponse,
  ResumeQueueResponse,
  SelfUpdate,
  SendMessageBody,
  SendMessageResponse,
  StopTurnResponse,
  TextPart,
  ToolReturn,
  UserMessage,
} from "@letta-environments/schema";
export { isOnline } from "@letta-environments/schema/presence";
