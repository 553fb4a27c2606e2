import type { Letta } from "@letta-ai/letta-client";
import type {
  EnvironmentListParams,
  EnvironmentSendMessageParams,
  EnvironmentSendMessageResponse,
} from "@letta-ai/letta-client/resources/environments";
import type { VirtualClock } from "@letta-environments/testkit";
import { expectTypeOf } from "vitest";
import {
  type Client,
  type ClientOptions,
  type Clock,
  createClient,
  createTransport,
  type Environment,
  type EnvironmentList,
  type ErrorCode,
  listEnvironments,
  type ListEnvironmentsInput,
  retrieveEnvironment,
  type RequestOptions,
  type SendMessageBody,
  type SendMessageInput,
  sendMessage,
  type SendMessageResult,
  type Transport,
} from "../src/index.ts";

// Two options are enough, and each is needed.
expectTypeOf<{ baseUrl: string; apiKey: string }>().toExtend<ClientOptions>();
expectTypeOf<{ baseUrl: string }>().not.toExtend<ClientOptions>();
expectTypeOf<{ apiKey: string }>().not.toExtend<ClientOptions>();
expectTypeOf<typeof fetch>().toExtend<NonNullable<ClientOptions["fetch"]>>();
expectTypeOf(createClient).returns.toEqualTypeOf<Client>();
expectTypeOf(createTransport).toBeCallableWith({ baseUrl: "http://127.0.0.1", apiKey: "key" });

// Methods and functions take and give the same.
type Methods = Client["environments"];
expectTypeOf<ReturnType<Methods["list"]>>().toEqualTypeOf<Promise<EnvironmentList>>();
expectTypeOf<ReturnType<Methods["retrieve"]>>().toEqualTypeOf<Promise<Environment>>();
expectTypeOf<ReturnType<Methods["sendMessage"]>>().toEqualTypeOf<Promise<SendMessageResult>>();
expectTypeOf(listEnvironments).parameters.toEqualTypeOf<[transport: Transport, ...Parameters<Methods["list"]>]>();
expectTypeOf(retrieveEnvironment).parameters.toEqualTypeOf<
  [transport: Transport, ...Parameters<Methods["retrieve"]>]
>();
expectTypeOf(sendMessage).parameters.toEqualTypeOf<[transport: Transport, ...Parameters<Methods["sendMessage"]>]>();
expectTypeOf<Parameters<Methods["sendMessage"]>[2]>().toEqualTypeOf<RequestOptions | undefined>();

// What a caller of the official SDK passes is accepted, by methods of the same names.
expectTypeOf<keyof Client["environments"]>().toEqualTypeOf<"list" | "retrieve" | "sendMessage">();
expectTypeOf<keyof Client["environments"]>().toExtend<keyof Letta["environments"]>();
expectTypeOf<EnvironmentListParams>().toExtend<ListEnvironmentsInput>();
expectTypeOf<EnvironmentSendMessageParams>().toExtend<SendMessageInput>();
expectTypeOf<SendMessageResult>().toExtend<EnvironmentSendMessageResponse>();
expectTypeOf<SendMessageBody>().toExtend<SendMessageInput>();

// Only the ids of user messages may be left out.
type Message = SendMessageInput["messages"][number];
expectTypeOf<{ role: "user"; content: string }>().toExtend<Message>();
expectTypeOf<{ role: "user" }>().not.toExtend<Message>();
expectTypeOf<{ role: "system"; content: string }>().not.toExtend<Message>();
expectTypeOf<{ type: "approval"; approvals: [] }>().toExtend<Message>();

// An offline device's connection is caught by the compiler.
expectTypeOf<Environment["connectionId"]>().not.toExtend<Parameters<Methods["sendMessage"]>[0]>();

// The clock is the one of the other packages.
expectTypeOf<VirtualClock>().toExtend<Clock>();

// Known codes are suggested, newer ones accepted.
expectTypeOf<"timeout">().toExtend<ErrorCode>();
expectTypeOf<"device_offline">().toExtend<ErrorCode>();
expectTypeOf<string>().toExtend<ErrorCode>();
