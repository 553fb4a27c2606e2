import { expectTypeOf } from "vitest";
import type { InferOutput } from "valibot";
import type {
  ApprovalDecision,
  ApprovalDecisionSchema,
  ApprovalMessage,
  ApprovalMessageSchema,
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
