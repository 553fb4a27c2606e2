export {
  allowsAgent,
  allowsDevice,
  allowsMode,
  ceilingModes,
  type DeviceIdentity,
  matchesNamePattern,
  type PresentableEnvironment,
  presentEnvironment,
} from "./access.ts";
export { answerOpenApi, type OpenApiDocument, openApiPath, type OpenApiSource } from "./answer-open-api.ts";
export { buildPath } from "./build-path.ts";
export { type CheckedValue, checkValue } from "./check-value.ts";
export { createEndpointMatcher, type MatchRoute, type Routable, type RouteMatch } from "./create-endpoint-matcher.ts";
export {
  type Decoded,
  decodeBody,
  decodeQuery,
  decodeRequest,
  isJsonMediaType,
  maxBodyBytes,
  maxBodyDepth,
  type RawInput,
} from "./decode-request.ts";
export { describeIssues } from "./describe-issues.ts";
export {
  type DecodedRequest,
  type Endpoint,
  type Endpoints,
  endpoints,
  type KnownEndpoint,
  type Operation,
  type OperationInput,
} from "./endpoints.ts";
export {
  type Environment,
  type EnvironmentList,
  EnvironmentListSchema,
  type EnvironmentMetadata,
  EnvironmentMetadataSchema,
  type EnvironmentMode,
  environmentModes,
  EnvironmentSchema,
  type SelfUpdate,
  SelfUpdateSchema,
} from "./environment.ts";
export { IdentifierSchema } from "./identifier.ts";
export { identifierRule, isIdentifier, reservedIdentifiers } from "./is-identifier.ts";
export {
  type EnvironmentSource,
  type ListEnvironmentsQuery,
  ListEnvironmentsQuerySchema,
  ListLimitSchema,
  type ListEnvironmentsWireQuery,
} from "./list-query.ts";
export { type EndpointMatch, matchEndpoint } from "./match-endpoint.ts";
export {
  type ApprovalDecision,
  ApprovalDecisionSchema,
  type ApprovalMessage,
  ApprovalMessageSchema,
  maxReferenceLength,
  messageDeduplicationHeader,
  type SendMessageBody,
  SendMessageBodySchema,
  type SendMessageResponse,
  type TextPart,
  TextPartSchema,
  type ToolReturn,
  ToolReturnSchema,
  type UserMessage,
  UserMessageSchema,
} from "./message.ts";
export { type OpenEnum, openEnum } from "./open-enum.ts";
export { jsonResponse, type PlainHeaders, type PlainRequest, type PlainResponse } from "./plain-http.ts";
export { isOnline, onlineWindowMs } from "./presence.ts";
export type { DeviceAllowlist, Principal } from "./principal.ts";
export { type Problem, problemBody, type ProblemOptions, problemResponse, problemType } from "./problem.ts";
export {
  type ProblemCode,
  problemCodes,
  type ProblemDefinition,
  problemDefinitions,
  type ProblemIssue,
} from "./problem-definitions.ts";
export { type RegisterRequest, RegisterRequestSchema, type RegisterResponse } from "./register.ts";
export { type Scope, scopes } from "./scope.ts";
export { defaultListLimit, maxListLimit } from "./wire-rules.ts";
export { isApprovalMessage } from "./is-approval-message.ts";
export { SendMessageResponseSchema } from "./send-message-response-schema.ts";
export { RegisterResponseSchema } from "./register-response-schema.ts";
export { ProblemSchema } from "./problem-schema.ts";
export { formatListQuery } from "./format-list-query.ts";
