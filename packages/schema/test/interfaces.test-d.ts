import { expectTypeOf } from "vitest";
import { type InferInput, type InferOutput, looseObject, number, omit, partial, pick } from "valibot";
import { EnvironmentSchema } from "../src/index.ts";
import type {
  DecodedRequest,
  Endpoint,
  endpoints,
  DecodedListMessagesQuery,
  Environment,
  EnvironmentList,
  KnownEndpoint,
  ListEnvironmentsQuery,
  ListEnvironmentsQuerySchema,
  ListEnvironmentsWireQuery,
  ListMessagesQuerySchema,
  Operation,
  OperationInput,
  RegisterRequest,
  SendMessageBody,
} from "../src/index.ts";

// The output of a schema is exactly the documented interface.
expectTypeOf<InferOutput<typeof EnvironmentSchema>>().toEqualTypeOf<Environment>();
expectTypeOf<InferOutput<typeof ListEnvironmentsQuerySchema>>().toEqualTypeOf<ListEnvironmentsQuery>();
expectTypeOf<InferOutput<typeof ListMessagesQuerySchema>>().toEqualTypeOf<DecodedListMessagesQuery>();
expectTypeOf<InferOutput<typeof ListMessagesQuerySchema>["agentId"]>().toEqualTypeOf<string[] | undefined>();

// The compiler finds a misspelt member.
expectTypeOf<"conectionName">().not.toExtend<keyof Environment>();

// The input of a schema has the same members as the output, and those of a query are strings.
expectTypeOf<InferInput<typeof EnvironmentSchema>>().toEqualTypeOf<Environment>();
expectTypeOf<InferInput<typeof ListEnvironmentsQuerySchema>>().toEqualTypeOf<ListEnvironmentsWireQuery>();

// The entries of a schema keep their types when they are picked, omitted, made optional or extended.
const picked = pick(EnvironmentSchema, ["id", "currentMode"]);
const omitted = omit(EnvironmentSchema, ["id"]);
const changed = partial(EnvironmentSchema, ["connectionName"]);
const extended = looseObject({ ...EnvironmentSchema.entries, region: number() });
type Open<Type> = Type & { [name: string]: unknown };
expectTypeOf<InferOutput<typeof picked>>().toExtend<Open<Pick<Environment, "id" | "currentMode">>>();
expectTypeOf<keyof (typeof picked)["entries"]>().toEqualTypeOf<"id" | "currentMode">();
expectTypeOf<InferOutput<typeof omitted>>().toExtend<Open<Omit<Environment, "id">>>();
expectTypeOf<keyof (typeof omitted)["entries"]>().toEqualTypeOf<Exclude<keyof Environment, "id">>();
expectTypeOf<InferOutput<typeof changed>["connectionName"]>().toEqualTypeOf<string | undefined>();
expectTypeOf<InferOutput<typeof extended>>().toExtend<Environment & { region: number }>();

// Every entry of the table is an endpoint, and keeps its own types.
expectTypeOf<KnownEndpoint>().toExtend<Endpoint>();
expectTypeOf<InferOutput<NonNullable<typeof endpoints.sendMessage.body>>>().toEqualTypeOf<SendMessageBody>();
expectTypeOf<InferOutput<NonNullable<typeof endpoints.listEnvironments.response>>>().toEqualTypeOf<EnvironmentList>();

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
