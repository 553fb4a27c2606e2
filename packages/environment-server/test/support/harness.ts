import type { PlainRequest, PlainResponse, Principal, SendMessageBody } from "@letta-environments/schema";
import { openSqlite, sha256Hex } from "@letta-environments/platform/node";
import { createVirtualClock, type VirtualClock } from "@letta-environments/testkit";
import {
  createEnvironmentServer,
  type EnvironmentServer,
  type EnvironmentServerEvent,
  type EnvironmentServerOptions,
  type EnvironmentStore,
} from "../../src/index.ts";
import { createSqliteEnvironmentStore } from "../../src/sqlite.ts";
import { createFakeSocket, type FakeSocket } from "./fake-socket.ts";

/** A response with its parsed body. */
export interface Answer {
  readonly status: number;
  readonly headers: PlainResponse["headers"];
  readonly body: Record<string, unknown>;
}

/** Options of a request. */
export interface CallOptions {
  readonly principal?: Principal;
  readonly body?: unknown;
  readonly query?: string;
  readonly signal?: AbortSignal;
  readonly authority?: string | null;
  readonly idempotencyKey?: string;
  readonly prefer?: string;
}

/** A server over an in-memory database and a virtual clock, with helpers for requests and devices. */
export interface Harness {
  readonly clock: VirtualClock;
  readonly store: EnvironmentStore;
  readonly server: EnvironmentServer;
  readonly events: EnvironmentServerEvent[];
  call(method: string, path: string, options?: CallOptions): Promise<Answer>;
  /** Registers a device and returns its connectionId. */
  register(deviceId: string, options?: CallOptions & { readonly instance?: string }): Promise<string>;
  /** Opens the socket of a connection; throws when the upgrade is refused. */
  open(connectionId: string, principal?: Principal): Promise<FakeSocket>;
  /** Registers and opens. */
  connect(deviceId: string): Promise<{ readonly connectionId: string; readonly socket: FakeSocket }>;
  send(connectionId: string, body?: Partial<SendMessageBody>, options?: CallOptions): Promise<Answer>;
  /** Runs everything that does not wait for time or for a device. */
  settle(): Promise<void>;
}

/** A key with every scope and no allowlist. */
export const anyone: Principal = {
  tenant: "acme",
  keyId: "key-1",
  owner: "ada",
  scopes: new Set(["list", "read", "send", "connect", "details"] as const),
  deviceIds: null,
  connectionNames: null,
  agentIds: null,
  maxMode: null,
  shared: false,
};

/** {@link anyone} with the scope that approval messages need. */
export const withApprove: Principal = { ...anyone, scopes: new Set([...anyone.scopes, "approve"] as const) };

/** A message with an id and a text. */
export function userMessage(id: string = "m-1", content: string = "hello"): SendMessageBody["messages"][number] {
  return { client_message_id: id, content, role: "user" };
}

/** Creates a {@link Harness}. */
export function createHarness(
  options: {
    readonly store?: EnvironmentStore;
    readonly clock?: VirtualClock;
    readonly randomId?: (prefix: string) => string;
    readonly publicUrl?: string;
    readonly podId?: string;
    readonly connectRouter?: EnvironmentServerOptions["connectRouter"];
    /** Default: 0, so that sockets can be written to as soon as they are open. */
    readonly settleMs?: number;
    readonly onStatusChange?: EnvironmentServerOptions["onStatusChange"];
  } = {},
): Harness {
  const clock = options.clock ?? createVirtualClock();
  const store = options.store ?? createSqliteEnvironmentStore(openSqlite(":memory:"));
  const events: EnvironmentServerEvent[] = [];
  const server = createEnvironmentServer({
    store,
    clock,
    sha256: sha256Hex,
    randomId: options.randomId ?? sharedCountingId(clock),
    podId: options.podId ?? "pod-1",
    ...(options.connectRouter !== undefined && { connectRouter: options.connectRouter }),
    publicUrl: options.publicUrl ?? null,
    settleMs: options.settleMs ?? 0,
    onEvent: (event) => void events.push(event),
    ...(options.onStatusChange !== undefined && { onStatusChange: options.onStatusChange }),
  });

  async function call(method: string, path: string, call: CallOptions = {}): Promise<Answer> {
    const request = toRequest(method, path, call);
    const { authority = "http://127.0.0.1:8787", signal, principal = anyone } = call;
    const response = await server.handle(request, principal, { authority, ...(signal !== undefined && { signal }) });
    return toAnswer(response);
  }

  async function register(deviceId: string, call_: CallOptions & { readonly instance?: string } = {}): Promise<string> {
    const body = {
      deviceId,
      connectionName: `name of ${deviceId}`,
      ...(call_.instance !== undefined && { listenerInstanceId: call_.instance }),
    };
    const answer = await call("POST", "/v1/environments/register", { body, ...call_ });
    if (answer.status !== 200) throw new Error(`refused: ${String(answer.body["errorCode"])}`);
    return String(answer.body["connectionId"]);
  }

  async function open(connectionId: string, principal: Principal = anyone): Promise<FakeSocket> {
    const decision = await server.upgrade(toRequest("GET", `/v1/environments/${connectionId}/socket`), principal);
    if (decision.kind === "refused")
      throw new Error(`refused: ${String(toAnswer(decision.response).body["errorCode"])}`);
    const socket = createFakeSocket();
    socket.listener = decision.attach(socket);
    return socket;
  }

  return {
    clock,
    store,
    server,
    events,
    call,
    register,
    open,
    async connect(deviceId) {
      const connectionId = await register(deviceId);
      return { connectionId, socket: await open(connectionId) };
    },
    send: (connectionId, body = {}, call_ = {}) =>
      call("POST", `/v1/environments/${connectionId}/messages`, {
        body: { messages: [userMessage()], agentId: "agent-1", ...body },
        ...call_,
      }),
    settle: () => clock.advance(0),
  };
}

/** Builds a request with a JSON body. */
export function toRequest(
  method: string,
  path: string,
  { body, query = "", idempotencyKey, prefer }: CallOptions = {},
): PlainRequest {
  const bytes = body === undefined ? null : new TextEncoder().encode(JSON.stringify(body));
  const key = idempotencyKey === undefined ? {} : { "idempotency-key": idempotencyKey };
  const preference = prefer === undefined ? {} : { prefer };
  return { method, path, query, headers: { "content-type": "application/json", ...key, ...preference }, body: bytes };
}

/** Parses the JSON body of a response. A missing body is an empty object. */
export function toAnswer({ status, headers, body }: PlainResponse): Answer {
  const text = body instanceof Uint8Array ? new TextDecoder().decode(body) : body;
  return { status, headers, body: text === null || text === "" ? {} : JSON.parse(text) };
}

/** Returns a function that creates ids in ascending order, such as `env-000001`. */
export function createCountingId(): (prefix: string) => string {
  let count = 0;
  return (prefix) => `${prefix}-${String((count += 1)).padStart(6, "0")}`;
}

const countingIds = new WeakMap<VirtualClock, (prefix: string) => string>();

/** Shares one counter between the servers of a clock, so that a restarted server does not create an id again. */
function sharedCountingId(clock: VirtualClock): (prefix: string) => string {
  const countingId = countingIds.get(clock) ?? createCountingId();
  countingIds.set(clock, countingId);
  return countingId;
}
