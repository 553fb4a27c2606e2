export { type Client, type ClientOptions, createClient, type EnvironmentsResource } from "./client.ts";
export type { Clock } from "./clock.ts";
export { type ClientErrorCode, type ErrorCode, isLettaEnvironmentsError, LettaEnvironmentsError } from "./error.ts";
export { assignMessageIds, type SendMessageInput, type UserMessageInput } from "./operations/assign-message-ids.ts";
export { listEnvironments, type ListEnvironmentsInput } from "./operations/list-environments.ts";
export { retrieveEnvironment } from "./operations/retrieve-environment.ts";
export { sendMessage, type SendMessageResult } from "./operations/send-message.ts";
export { maxRetryAfterMs, type RepeatSafety } from "./retry.ts";
export type { Fetch, RequestOptions, TransportOptions } from "./settings.ts";
export { createTransport, type Transport } from "./transport.ts";
export type { TransportRequest, TransportResponse } from "./transport-request.ts";
export {
  type ApprovalDecision,
  type ApprovalMessage,
  type Environment,
  type EnvironmentList,
  type EnvironmentMetadata,
  type EnvironmentMode,
  isOnline,
  type Problem,
  type ProblemCode,
  type ProblemIssue,
  type SelfUpdate,
  type SendMessageBody,
  type SendMessageResponse,
  type TextPart,
  type ToolReturn,
  type UserMessage,
} from "@letta-environments/schema";
