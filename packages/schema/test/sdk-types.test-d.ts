import type {
  EnvironmentListParams,
  EnvironmentListResponse,
  EnvironmentRetrieveResponse,
  EnvironmentSendMessageParams,
  EnvironmentSendMessageResponse,
} from "@letta-ai/letta-client/resources/environments";
import { expectTypeOf } from "vitest";
import type {
  Environment,
  EnvironmentList,
  EnvironmentMetadata,
  ListEnvironmentsQuery,
  ListEnvironmentsWireQuery,
  SendMessageBody,
  SendMessageResponse,
} from "../src/index.ts";

type SdkConnection = EnvironmentListResponse.Connection;
type SdkMetadata = EnvironmentListResponse.Connection.Metadata;

/** The members that a type names, without its index signature. */
type Named<Type> = { [Key in keyof Type as string extends Key ? never : Key]: Type[Key] };

/** Members of a row in which the official SDK's type and ours differ; each is pinned below. */
type DifferentMembers = "currentMode" | "metadata";

// Everything but the named differences is assignable both ways.
expectTypeOf<Omit<Environment, DifferentMembers>>().toExtend<Omit<SdkConnection, DifferentMembers>>();
expectTypeOf<Omit<SdkConnection, DifferentMembers>>().toExtend<Omit<Environment, DifferentMembers>>();
expectTypeOf<Omit<EnvironmentList, "connections">>().toEqualTypeOf<Omit<EnvironmentListResponse, "connections">>();
type Added = "displayName" | "listenerInstanceId" | "pendingApprovals" | "sendProblem" | "tags";
expectTypeOf<Exclude<keyof Environment, Added>>().toEqualTypeOf<keyof SdkConnection>();
expectTypeOf<EnvironmentRetrieveResponse>().toExtend<SdkConnection>();
expectTypeOf<SdkConnection>().toExtend<EnvironmentRetrieveResponse>();

// Difference `currentMode`: ours is open and the SDK's is closed, so only theirs is assignable to ours.
expectTypeOf<NonNullable<SdkConnection["currentMode"]>>().toExtend<NonNullable<Environment["currentMode"]>>();
expectTypeOf<NonNullable<Environment["currentMode"]>>().not.toExtend<NonNullable<SdkConnection["currentMode"]>>();

// Difference `metadata.self_update` and `metadata.supported_commands`: in the API text, absent from the SDK.
type MissingInSdk = "self_update" | "supported_commands";
expectTypeOf<Exclude<keyof EnvironmentMetadata, keyof Named<SdkMetadata>>>().toEqualTypeOf<MissingInSdk>();
expectTypeOf<Exclude<keyof Named<SdkMetadata>, keyof EnvironmentMetadata>>().toBeNever();
expectTypeOf<Omit<EnvironmentMetadata, MissingInSdk>>().toExtend<Named<SdkMetadata>>();
expectTypeOf<Named<SdkMetadata>>().toExtend<Omit<EnvironmentMetadata, MissingInSdk>>();

// Difference `metadata` index signature: the SDK has one. Ours has none, so the compiler finds a misspelt member.
expectTypeOf<string>().toExtend<keyof SdkMetadata>();
expectTypeOf<string>().not.toExtend<keyof EnvironmentMetadata>();
expectTypeOf<EnvironmentMetadata>().not.toExtend<SdkMetadata>();
expectTypeOf<{ [Key in keyof EnvironmentMetadata]: EnvironmentMetadata[Key] }>().toExtend<SdkMetadata>();

// The body of a send has no difference. Our servers say more than the SDK's response knows.
expectTypeOf<SendMessageBody>().toExtend<EnvironmentSendMessageParams>();
expectTypeOf<EnvironmentSendMessageParams>().toExtend<SendMessageBody>();
type Reported = "disposition" | "outcome";
expectTypeOf<Omit<SendMessageResponse, Reported>>().toEqualTypeOf<EnvironmentSendMessageResponse>();
expectTypeOf<EnvironmentSendMessageResponse>().toExtend<SendMessageResponse>();

// The list query has none on the wire but `tag`, which this project's servers know; as values, `limit` and `onlineOnly` are a number and a boolean.
type KnownWireQuery = Omit<ListEnvironmentsWireQuery, "tag">;
expectTypeOf<KnownWireQuery>().toEqualTypeOf<EnvironmentListParams>();
type ValueMembers = "limit" | "onlineOnly";
expectTypeOf<Omit<ListEnvironmentsQuery, ValueMembers | "tag">>().toEqualTypeOf<
  Omit<EnvironmentListParams, ValueMembers>
>();
expectTypeOf<Pick<EnvironmentListParams, ValueMembers>>().toEqualTypeOf<{ limit?: string; onlineOnly?: string }>();
expectTypeOf<Pick<ListEnvironmentsQuery, ValueMembers>>().toEqualTypeOf<{ limit?: number; onlineOnly?: boolean }>();
