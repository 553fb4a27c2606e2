import { expectTypeOf } from "vitest";
import type { InferOutput } from "valibot";
import type {
  ApprovalDecision,
  ApprovalDecisionSchema,
  ApprovalMessage,
  ApprovalMessageSchema,
  DecodedRequest,
  Endpoint,
  endpoints,
  Environment,
  EnvironmentList,
  EnvironmentListSchema,
  EnvironmentMetadata,
  EnvironmentMetadataSchema,
  EnvironmentSchema,
  KnownEndpoint,
  ListEnvironmentsQuery,
  ListEnvironmentsQuerySchema,
  Operation,
  OperationInput,
  Problem,
  ProblemSchema,
  RegisterRequest,
  RegisterRequestSchema,
  RegisterResponse,
  RegisterResponseSchema,
  SelfUpdate,
  SelfUpdateSchema,
  SendMessageBody,
  SendMessageBodySchema,
  SendMessageResponse,
  SendMessageResponseSchema,
  ToolReturn,
  ToolReturnSchema,
  UserMessage,
  UserMessageSchema,
} from "../src/index.ts";

// What a schema gives is exactly the documented interface. That the schema behind the annotation has the same members is
// held by interfaces.test.ts.
expectTypeOf<InferOutput<typeof ApprovalDecisionSchema>>().toEqualTypeOf<ApprovalDecision>();
expectTypeOf<InferOutput<typeof ApprovalMessageSchema>>().toEqualTypeOf<ApprovalMessage>();
expectTypeOf<InferOutput<typeof EnvironmentListSchema>>().toEqualTypeOf<EnvironmentList>();
expectTypeOf<InferOutput<typeof EnvironmentMetadataSchema>>().toEqualTypeOf<EnvironmentMetadata>();
expectTypeOf<InferOutput<typeof EnvironmentSchema>>().toEqualTypeOf<Environment>();
expectTypeOf<InferOutput<typeof ListEnvironmentsQuerySchema>>().toEqualTypeOf<ListEnvironmentsQuery>();
expectTypeOf<InferOutput<typeof ProblemSchema>>().toEqualTypeOf<Problem>();
expectTypeOf<InferOutput<typeof RegisterRequestSchema>>().toEqualTypeOf<RegisterRequest>();
expectTypeOf<InferOutput<typeof RegisterResponseSchema>>().toEqualTypeOf<RegisterResponse>();
expectTypeOf<InferOutput<typeof SelfUpdateSchema>>().toEqualTypeOf<SelfUpdate>();
expectTypeOf<InferOutput<typeof SendMessageBodySchema>>().toEqualTypeOf<SendMessageBody>();
expectTypeOf<InferOutput<typeof SendMessageResponseSchema>>().toEqualTypeOf<SendMessageResponse>();
expectTypeOf<InferOutput<typeof ToolReturnSchema>>().toEqualTypeOf<ToolReturn>();
expectTypeOf<InferOutput<typeof UserMessageSchema>>().toEqualTypeOf<UserMessage>();

// A typing error in a member's name is an error.
expectTypeOf<"conectionName">().not.toExtend<keyof Environment>();

// Every entry of the table is an endpoint, and keeps its own types.
expectTypeOf<KnownEndpoint>().toExtend<Endpoint>();
expectTypeOf<NonNullable<(typeof endpoints.sendMessage)["body"]>>().toEqualTypeOf<typeof SendMessageBodySchema>();
expectTypeOf<NonNullable<(typeof endpoints.listEnvironments)["response"]>>().toEqualTypeOf<
  typeof EnvironmentListSchema
>();

// The input of an operation has exactly the ids of its path, and null where the endpoint takes no query or body.
type None = Readonly<Record<never, string>>;
type Input<Params, Query, Body> = { readonly params: Params; readonly query: Query; readonly body: Body };
type DeviceId = { readonly deviceId: string };
type ConnectionId = { readonly connectionId: string };
expectTypeOf<OperationInput<"listEnvironments">>().toEqualTypeOf<Input<None, ListEnvironmentsQuery, null>>();
expectTypeOf<OperationInput<"retrieveEnvironment">>().toEqualTypeOf<Input<DeviceId, null, null>>();
expectTypeOf<OperationInput<"sendMessage">>().toEqualTypeOf<Input<ConnectionId, null, SendMessageBody>>();
expectTypeOf<OperationInput<"registerEnvironment">>().toEqualTypeOf<Input<None, null, RegisterRequest>>();
expectTypeOf<OperationInput<"openDeviceSocket">>().toEqualTypeOf<Input<ConnectionId, null, null>>();

// The operation selects the input, and every operation is there.
type Send = Extract<DecodedRequest, { operation: "sendMessage" }>;
expectTypeOf<DecodedRequest["operation"]>().toEqualTypeOf<Operation>();
expectTypeOf<Send["params"]>().toEqualTypeOf<ConnectionId>();
expectTypeOf<Send["body"]>().toEqualTypeOf<SendMessageBody>();
