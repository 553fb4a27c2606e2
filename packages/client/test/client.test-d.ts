import type { Letta } from "@letta-ai/letta-client";
import type {
  EnvironmentListParams,
  EnvironmentSendMessageParams,
  EnvironmentSendMessageResponse,
} from "@letta-ai/letta-client/resources/environments";
import { expectTypeOf } from "vitest";
import {
  type AmbiguousDeviceError,
  type Approval,
  type Client,
  type ClientOptions,
  createClient,
  createTransport,
  type DecidedApproval,
  type Environment,
  type EnvironmentList,
  type EnvironmentsError,
  type ErrorCode,
  type HttpRequest,
  listEnvironments,
  type ListEnvironmentsInput,
  retrieveEnvironment,
  type Middleware,
  type Next,
  type PendingCall,
  type SendMessageBody,
  type SendMessageInput,
  sendMessage,
  type SendMessageResult,
  type SendAndMaybeWaitOptions,
  type SendAndWaitResult,
  type sendToDevice,
  type SendToDeviceResult,
  type StreamedEvent,
  type Transport,
  type Turn,
} from "../src/index.ts";

// Two options are required, and no others.
expectTypeOf<{ baseUrl: string; apiKey: string }>().toExtend<ClientOptions>();
expectTypeOf<{ baseUrl: string }>().not.toExtend<ClientOptions>();
expectTypeOf<{ apiKey: string }>().not.toExtend<ClientOptions>();
expectTypeOf<typeof fetch>().toExtend<NonNullable<ClientOptions["fetch"]>>();
expectTypeOf(createClient).returns.toEqualTypeOf<Client>();
expectTypeOf(createTransport).toBeCallableWith({ baseUrl: "http://127.0.0.1", apiKey: "key" });

// Methods and functions have the same parameters and results.
type Methods = Client["environments"];
expectTypeOf<ReturnType<Methods["list"]>>().toEqualTypeOf<PendingCall<EnvironmentList>>();
expectTypeOf<ReturnType<Methods["retrieve"]>>().toEqualTypeOf<PendingCall<Environment>>();
expectTypeOf<ReturnType<Methods["sendMessage"]>>().toEqualTypeOf<PendingCall<SendMessageResult>>();
expectTypeOf<ReturnType<Methods["sendToDevice"]>>().toEqualTypeOf<
  PendingCall<SendToDeviceResult | SendAndWaitResult>
>();
expectTypeOf(listEnvironments).parameters.toEqualTypeOf<[transport: Transport, ...Parameters<Methods["list"]>]>();
expectTypeOf(retrieveEnvironment).parameters.toEqualTypeOf<
  [transport: Transport, ...Parameters<Methods["retrieve"]>]
>();
expectTypeOf(sendMessage).parameters.toEqualTypeOf<[transport: Transport, ...Parameters<Methods["sendMessage"]>]>();

// Users of the official SDK change the import and the constructor. Methods, arguments, results and `withResponse` are the
// same.
type Official = Pick<Letta["environments"], "list" | "retrieve" | "sendMessage">;
type OfficialOptions = { signal?: AbortSignal; timeout?: number; maxRetries?: number; idempotencyKey?: string };
expectTypeOf<keyof Official>().toExtend<keyof Methods>();
expectTypeOf<EnvironmentListParams>().toExtend<ListEnvironmentsInput>();
expectTypeOf<EnvironmentSendMessageParams>().toExtend<SendMessageInput>();
expectTypeOf<OfficialOptions>().toExtend<NonNullable<Parameters<Official["sendMessage"]>[2]>>();
expectTypeOf<OfficialOptions>().toExtend<NonNullable<Parameters<Methods["sendMessage"]>[2]>>();
expectTypeOf<Omit<OfficialOptions, "idempotencyKey">>().toExtend<NonNullable<Parameters<Methods["list"]>[1]>>();
expectTypeOf<SendMessageResult>().toExtend<EnvironmentSendMessageResponse>();
expectTypeOf<SendMessageBody>().toExtend<SendMessageInput>();
expectTypeOf<Awaited<ReturnType<ReturnType<Methods["list"]>["withResponse"]>>>().toExtend<{
  data: EnvironmentList;
  response: Response;
}>();
export function moved(environments: Official | Methods): Promise<{ connections: { deviceId: string }[] }> {
  return environments.list({ limit: "5", onlineOnly: "true" }, { timeout: 1_000, maxRetries: 0 });
}

// Only the ids of user messages are optional.
type Message = SendMessageInput["messages"][number];
expectTypeOf<{ role: "user"; content: string }>().toExtend<Message>();
expectTypeOf<{ role: "user" }>().not.toExtend<Message>();
expectTypeOf<{ role: "system"; content: string }>().not.toExtend<Message>();
expectTypeOf<{ type: "approval"; approvals: [] }>().toExtend<Message>();

// The compiler refuses the `connectionId` of a device that may be offline.
expectTypeOf<Environment["connectionId"]>().not.toExtend<Parameters<Methods["sendMessage"]>[0]>();

// The code narrows an error and its members.
expectTypeOf<"timeout" | "device_offline">().toExtend<ErrorCode>();
export function describe(error: EnvironmentsError): string {
  switch (error.code) {
    case "aborted":
      expectTypeOf(error.status).toEqualTypeOf<undefined>();
      return error.message;
    case "device_offline":
      expectTypeOf(error.status).toEqualTypeOf<number | undefined>();
      return String(error.environments?.map((environment) => environment.connectionName));
    case "ambiguous_device":
      expectTypeOf(error).toEqualTypeOf<AmbiguousDeviceError>();
      return error.message;
    case "approval_decided":
      expectTypeOf(error.status).toEqualTypeOf<number>();
      return String(error.problem?.approval?.decidedBy);
    case "rate_limited":
      expectTypeOf(error.status).toEqualTypeOf<number>();
      return String(error.retryAfterMs);
    // @ts-expect-error: no such code
    case "no_such_code":
      return "";
    default:
      return error.code;
  }
}

// A send that waits has the turn; another one does not.
export async function sendTwice(send: Methods["sendToDevice"], body: Parameters<Methods["sendToDevice"]>[1]) {
  expectTypeOf((await send("d-1", body, { wait: "finished" })).turn).toEqualTypeOf<Turn>();
  expectTypeOf(await send("d-1", body)).not.toHaveProperty("turn");
  expectTypeOf(await send("d-1", body, { intervalMs: 5 })).not.toHaveProperty("turn");
}

// Options that are known only when the program runs allow both results.
export async function sendEither(send: typeof sendToDevice, transport: Transport, isWaiting: boolean): Promise<string> {
  const options = isWaiting ? ({ wait: "finished", waitUntilFinishedMs: 5 } as const) : {};
  const result = await send(transport, "d-1", { messages: [] }, options);
  expectTypeOf<typeof result>().toEqualTypeOf<SendToDeviceResult | SendAndWaitResult>();
  const bound = createClient({ baseUrl: "", apiKey: "" }).environments.sendToDevice("d-1", { messages: [] }, options);
  expectTypeOf(bound).toEqualTypeOf<PendingCall<SendToDeviceResult | SendAndWaitResult>>();
  return "turn" in result ? result.turn.outcome : result.outcome;
}

// Options in a variable do so too, whatever else they have.
export function sendStored(
  send: typeof sendToDevice,
  transport: Transport,
  options: SendAndMaybeWaitOptions,
  wait: "finished" | undefined,
): void {
  type Either = PendingCall<SendToDeviceResult | SendAndWaitResult>;
  const timed = { wait, timeoutMs: 5 };
  expectTypeOf(send(transport, "d-1", { messages: [] }, options)).toEqualTypeOf<Either>();
  expectTypeOf(send(transport, "d-1", { messages: [] }, timed)).toEqualTypeOf<Either>();
  const bound = createClient({ baseUrl: "", apiKey: "" }).environments.sendToDevice;
  expectTypeOf(bound("d-1", { messages: [] }, options)).toEqualTypeOf<Either>();
  expectTypeOf(bound("d-1", { messages: [] }, timed)).toEqualTypeOf<Either>();
}

// A rule returns its answer. A promise would match every device, and a function is no selector by its own `name`.
type Selector = Parameter<Methods["sendToDevice"], 0>;
expectTypeOf<(environment: Environment) => boolean>().toExtend<Selector>();
expectTypeOf<(environment: Environment) => Promise<boolean>>().not.toExtend<Selector>();
expectTypeOf<{ name: string }>().toExtend<Selector>();

// A body that is declared `as const` can be sent, also one with approvals; every list takes null as its query.
const frozen = {
  agentId: "a",
  messages: [
    { role: "user", content: [{ type: "text", text: "x" }] },
    {
      type: "approval",
      approvals: [
        { approve: true, tool_call_id: "t", selected_permission_suggestion_ids: ["s"] },
        { status: "success", tool_call_id: "t", tool_return: [{ type: "text", text: "x" }], stdout: ["x"] },
      ],
    },
  ],
} as const;
expectTypeOf(frozen).toExtend<SendMessageInput>();
expectTypeOf<null>().toExtend<Parameters<Methods["list"]>[0]>();
expectTypeOf<null>().toExtend<Parameters<Methods["messages"]["list"]>[1]>();
expectTypeOf<null>().toExtend<Parameters<Methods["messages"]["listAll"]>[1]>();
expectTypeOf<null>().toExtend<Parameters<Methods["approvals"]["list"]>[0]>();

// The type of an event narrows its members.
export function readEvent(event: StreamedEvent): string {
  switch (event.type) {
    case "message":
      return event.message.state;
    case "output":
      expectTypeOf(event.delta).toEqualTypeOf<Readonly<Record<string, unknown>>>();
      return event.conversationId;
    case "approval":
      // Only a request has an input.
      if (event.change === "requested") expectTypeOf(event.approval.input).toEqualTypeOf<Approval["input"]>();
      if (event.change === "decided") expectTypeOf(event.approval).toEqualTypeOf<DecidedApproval>();
      return event.approval.tool;
    case "environment":
      return event.environment["id"] === undefined ? "" : event.deviceId;
    case "gap":
      return event.reason;
  }
}

// Middleware runs between the client and fetch, and its request is what fetch accepts.
expectTypeOf<HttpRequest>().toExtend<RequestInit>();
expectTypeOf<(request: HttpRequest, next: Next) => Promise<Response>>().toExtend<Middleware>();

// Queries, patches and messages take read-only lists, and `undefined` for a member that may be absent.
type Parameter<Method extends (...parameters: never) => unknown, Index extends number> = NonNullable<
  Parameters<Method>[Index]
>;
type Absent = string | undefined;
type List = readonly string[];
expectTypeOf<{ state: readonly ["failed"]; agentId: List }>().toExtend<Parameter<Methods["messages"]["list"], 1>>();
expectTypeOf<{ state: readonly ["failed"]; after: Absent }>().toExtend<Parameter<Methods["messages"]["listAll"], 1>>();
expectTypeOf<{ state: readonly ["no such state"] }>().not.toExtend<Parameter<Methods["messages"]["list"], 1>>();
expectTypeOf<{ tags: List; displayName: Absent }>().toExtend<Parameter<Methods["update"], 1>>();
expectTypeOf<{ tags: null; displayName: null }>().toExtend<Parameter<Methods["update"], 1>>();
expectTypeOf<{ tags: string }>().not.toExtend<Parameter<Methods["update"], 1>>();
expectTypeOf<{ agentId: Absent; wait: undefined }>().toExtend<Parameter<Methods["messages"]["retrieve"], 2>>();
expectTypeOf<{ agentId: Absent; conversationId: Absent }>().toExtend<Parameter<Methods["messages"]["wait"], 2>>();
expectTypeOf<{ role: "user"; content: string; otid: Absent; client_message_id: Absent }>().toExtend<Message>();
expectTypeOf<{
  readonly role: "user";
  readonly content: readonly [{ readonly type: "text"; readonly text: "hi" }];
}>().toExtend<Message>();
