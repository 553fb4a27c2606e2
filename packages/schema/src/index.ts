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
export { type CheckedValue, checkValue, describeIssues } from "./check-value.ts";
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
export { identifierRule, isIdentifier, reservedIdentifiers } from "./identifier.ts";
export {
  type EnvironmentSource,
  formatListQuery,
  type ListEnvironmentsQuery,
  ListEnvironmentsQuerySchema,
  ListLimitSchema,
  type ListEnvironmentsWireQuery,
} from "./list-query.ts";
export {
  type ApprovalDecision,
  ApprovalDecisionSchema,
  type ApprovalMessage,
  ApprovalMessageSchema,
  isApprovalMessage,
  maxReferenceLength,
  messageDeduplicationHeader,
  type SendMessageBody,
  SendMessageBodySchema,
  type SendMessageResponse,
  SendMessageResponseSchema,
  type TextPart,
  TextPartSchema,
  type ToolReturn,
  ToolReturnSchema,
  type UserMessage,
  UserMessageSchema,
} from "./message.ts";
export { type OpenApiDocument, openApiPath, openApiResponse, type OpenApiSource } from "./open-api.ts";
export { jsonResponse, type PlainHeaders, type PlainRequest, type PlainResponse } from "./plain-http.ts";
export { isOnline, onlineWindowMs } from "./presence.ts";
export { type DeviceAllowlist, type Principal, type Scope, scopes } from "./principal.ts";
export {
  type Problem,
  problemBody,
  type ProblemOptions,
  problemResponse,
  ProblemSchema,
  problemType,
} from "./problem.ts";
export {
  type ProblemCode,
  problemCodes,
  type ProblemDefinition,
  problemDefinitions,
  type ProblemIssue,
} from "./problem-definitions.ts";
export {
  type RegisterRequest,
  RegisterRequestSchema,
  type RegisterResponse,
  RegisterResponseSchema,
} from "./register.ts";
export {
  buildPath,
  createEndpointMatcher,
  type EndpointMatch,
  matchEndpoint,
  type MatchRoute,
  type Routable,
  type RouteMatch,
} from "./routing.ts";
export { defaultListLimit, maxListLimit } from "./rules.ts";
export { IdentifierSchema, type OpenEnum, openEnum, type WireEntries, type WireObjectSchema } from "./wire-schema.ts";
