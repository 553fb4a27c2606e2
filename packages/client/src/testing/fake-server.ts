/**
 * An environment server in memory, for tests: lists, single devices, and sends with the errors of the real one. It checks
 * neither keys nor the shape of bodies.
 */
import type { Environment, ProblemCode, SendMessageBody } from "@letta-environments/schema";
import { now as platformNow } from "../adapters/platform.ts";
import type { Fetch } from "../request.ts";
import { messageDeduplicationHeader } from "../retry.ts";
import { exampleEnvironment, jsonAnswer, problemAnswer, readRequest, type SeenRequest } from "./responses.ts";

/** A send that a fake device took. */
export interface TakenSend {
  readonly deviceId: string;
  readonly connectionId: string;
  readonly body: SendMessageBody;
}

/** A fake environment server; clients reach it through its `fetch`. */
export interface FakeServer {
  readonly fetch: Fetch;
  /** Every request so far. A test may empty it. */
  readonly requests: SeenRequest[];
  /** Every send that a device took, in order. Unless `deduplicates` is false, a repeated `client_message_id` is taken once. */
  readonly taken: readonly TakenSend[];
  /** Adds a device, or changes members of its row. */
  put(members: Partial<Environment> & { readonly deviceId: string }): Environment;
  /** Connects a device, and returns its new `connectionId`. */
  connect(deviceId: string): string;
  /** Sets the row's `lastHeartbeat` to now. */
  heartbeat(deviceId: string): void;
  disconnect(deviceId: string): void;
  remove(deviceId: string): void;
  /** Replaces the responses of the next requests, one each; an `Error` is thrown. Requests for a stream of events do not count. */
  interrupt(...answers: readonly (() => Response | Error)[]): void;
}

/** Options of {@link createFakeServer}. */
export interface FakeServerOptions {
  /** Epoch milliseconds; default: the platform's clock. */
  readonly now?: () => number;
  /** The outcome of a message on its device. Default `started`. */
  readonly disposition?: "started" | "queued";
  /** Whether a repeated message id runs once; responses then carry `x-message-deduplication`. Default `true`. */
  readonly deduplicates?: boolean;
}

/**
 * Creates a {@link FakeServer}. Lists have pages, `onlineOnly` and entity tags. Sends fail with `connection_not_found`,
 * `connection_replaced`, `device_offline`, `agent_required`, `invalid_request` and `message_id_reused` as on a real server.
 */
export function createFakeServer(options: FakeServerOptions = {}): FakeServer {
  const { now = platformNow, deduplicates = true, disposition = "started" } = options;
  const rows = new Map<string, Environment>();
  const deviceOf = new Map<string, string>();
  const requests: SeenRequest[] = [];
  const taken: TakenSend[] = [];
  const interruptions: (() => Response | Error)[] = [];
  let connections = 0;

  function put(members: Partial<Environment> & { readonly deviceId: string }): Environment {
    const row = { ...(rows.get(members.deviceId) ?? exampleEnvironment(members)), ...members };
    rows.set(row.deviceId, row);
    return row;
  }

  function list(query: URLSearchParams, etag: string | null): Response {
    const after = query.get("after") ?? "";
    const limit = Number(query.get("limit") ?? 50);
    const all = [...rows.values()]
      .filter((row) => row.id > after && (query.get("onlineOnly") !== "true" || row.connectionId !== null))
      .filter((row) => query.getAll("tag").every((tag) => row.tags?.includes(tag)))
      .sort((left, right) => (left.id < right.id ? -1 : 1));
    return tagged({ connections: all.slice(0, limit), hasNextPage: all.length > limit }, etag);
  }

  function send(connectionId: string, body: SendMessageBody): Response {
    const deviceId = deviceOf.get(connectionId);
    const row = deviceId === undefined ? undefined : rows.get(deviceId);
    const fail = (code: ProblemCode): Response => problemAnswer(code)();
    const ids = idsOf(body);
    if (new Set(ids).size < ids.length) return fail("invalid_request");
    const isDefault = (body.conversationId ?? "default") === "default" || body.conversationId === "";
    if (!body.agentId && isDefault) return fail("agent_required");
    if (row === undefined) return fail("connection_not_found");
    const repeated = taken.find(
      (earlier) => deduplicates && earlier.deviceId === deviceId && idsOf(earlier.body).some((id) => ids.includes(id)),
    );
    if (repeated !== undefined && JSON.stringify(repeated.body.messages) !== JSON.stringify(body.messages))
      return fail("message_id_reused");
    const answer = { success: true, message: `Message accepted by the device (${disposition}).`, disposition };
    if (repeated !== undefined) return jsonAnswer(200, answer, { "idempotency-replayed": "true" })();
    if (row.connectionId === null) return fail("device_offline");
    if (row.connectionId !== connectionId) return fail("connection_replaced");
    taken.push({ deviceId: row.deviceId, connectionId, body });
    return jsonAnswer(200, answer)();
  }

  function answer(url: URL, init: RequestInit): Response {
    const found = /\/v1\/environments(?:\/([^/]+))?(\/messages)?$/.exec(url.pathname);
    if (found === null) return problemAnswer("endpoint_not_found")();
    const [, id, tail] = found;
    const etag = new Headers(init.headers).get("if-none-match");
    if (init.method === "POST" && tail !== undefined && id !== undefined && typeof init.body === "string")
      return send(decodeURIComponent(id), JSON.parse(init.body));
    if (init.method === "DELETE" && id !== undefined && tail === undefined) {
      const isKnown = rows.delete(decodeURIComponent(id));
      return isKnown ? new Response(null, { status: 204 }) : problemAnswer("environment_not_found")();
    }
    if (init.method !== "GET" || tail !== undefined) return problemAnswer("endpoint_not_found")();
    if (id === undefined) return list(url.searchParams, etag);
    const row = rows.get(decodeURIComponent(id));
    return row === undefined ? problemAnswer("environment_not_found")() : tagged(row, etag);
  }

  return {
    requests,
    taken,
    put,
    async fetch(url, init) {
      init.signal?.throwIfAborted();
      requests.push(readRequest(url, init));
      // A watcher asks for a stream beside its other requests; this server has none.
      if (new URL(url).pathname.endsWith("/v1/environments/events")) return problemAnswer("endpoint_not_found")();
      const interruption = interruptions.shift();
      const response = interruption === undefined ? answer(new URL(url), init) : interruption();
      if (response instanceof Error) throw response;
      if (deduplicates && interruption === undefined) response.headers.set(messageDeduplicationHeader, "86400");
      return response;
    },
    connect(deviceId) {
      const connectionId = `env-conn-${(connections += 1)}`;
      deviceOf.set(connectionId, deviceId);
      put({ deviceId, connectionId, podId: "pod-1", connectedAt: now(), lastHeartbeat: now(), lastSeenAt: now() });
      return connectionId;
    },
    heartbeat: (deviceId) => void put({ deviceId, lastHeartbeat: now(), lastSeenAt: now() }),
    disconnect: (deviceId) =>
      void put({ deviceId, connectionId: null, podId: null, connectedAt: null, lastHeartbeat: null }),
    remove: (deviceId) => void rows.delete(deviceId),
    interrupt: (...answers) => void interruptions.push(...answers),
  };
}

function idsOf({ messages }: SendMessageBody): readonly string[] {
  return messages.flatMap((message) => ("approvals" in message ? [] : [message.client_message_id]));
}

/** A response with an entity tag, or 304 if the caller already has it. Heartbeats do not change the tag. */
function tagged(value: unknown, known: string | null): Response {
  const text = JSON.stringify(value, (name, member: unknown) =>
    name === "lastHeartbeat" || name === "lastSeenAt" ? member !== null : member,
  );
  let hash = 5381;
  for (const character of text) hash = (hash * 33 + (character.codePointAt(0) ?? 0)) % 4_294_967_296;
  const etag = `W/"${hash.toString(36)}"`;
  return known === etag ? new Response(null, { status: 304, headers: { etag } }) : jsonAnswer(200, value, { etag })();
}
