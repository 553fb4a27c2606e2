export { type Client, type ClientOptions, createClient, type EnvironmentsResource } from "./client.ts";
export type {
  AbortedError,
  AmbiguousDeviceError,
  ClientErrorCode,
  DeviceError,
  EnvironmentsError,
  ErrorCode,
  InvalidArgumentError,
  NoAnswerError,
  PlainHttpError,
  ProblemError,
  UnusableAnswerError,
} from "./error-codes.ts";
export { type ErrorDetails, isLettaEnvironmentsError, LettaEnvironmentsError } from "./error.ts";
export type { Call, Fetch, HttpRequest, Middleware, Next } from "./http-request.ts";
export { type AnswerApprovals, approve, type ApprovalDetails, deny } from "./operations/answer-approvals.ts";
export { assignMessageIds, type SendMessageInput, type UserMessageInput } from "./operations/assign-message-ids.ts";
export type { DeviceSelector } from "./operations/find-device.ts";
export { listAllEnvironments } from "./operations/list-all-environments.ts";
export { listEnvironmentPages } from "./operations/list-environment-pages.ts";
export { listEnvironments, type ListEnvironmentsInput } from "./operations/list-environments.ts";
export { retrieveEnvironment } from "./operations/retrieve-environment.ts";
export { sendMessage, type SendMessageResult, type SendOptions, type SendOutcome } from "./operations/send-message.ts";
export { sendToDevice, type SendToDeviceOptions, type SendToDeviceResult } from "./operations/send-to-device.ts";
export { type EnvironmentEvent, watchEnvironments, type WatchOptions } from "./operations/watch-environments.ts";
export type { PendingCall } from "./pending-call.ts";
export { maxRetryAfterMs, type RepeatSafety } from "./retry.ts";
export { createTransport, type Transport } from "./transport.ts";
export type { Answer, AnswerMismatch, TransportEvent } from "./transport-event.ts";
export type { RequestOptions, TransportOptions } from "./transport-options.ts";
export type { TransportRequest, TransportResponse } from "./transport-request.ts";
export type {
  ApprovalDecision,
  ApprovalMessage,
  Environment,
  EnvironmentList,
  EnvironmentMetadata,
  EnvironmentMode,
  Problem,
  ProblemCode,
  ProblemIssue,
  SelfUpdate,
  SendMessageBody,
  SendMessageResponse,
  TextPart,
  ToolReturn,
  UserMessage,
} from "@letta-environments/schema";
export { isOnline } from "@letta-environments/schema/presence";
