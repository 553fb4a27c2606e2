/**
 * An environment server in memory, for tests: lists, single devices, sends with the errors of the real one, and what becomes of messages.
 * It checks neither keys nor the shape of bodies.
 */
import type { Approval, Environment, MessageStatus, ProblemCode, SendMessageBody } from "@letta-environments/schema";
import { now as platformNow } from "../adapters/platform.ts";
import type { Fetch } from "../request.ts";
import { messageDeduplicationHeader } from "../retry.ts";
import { createFakeEvents } from "./fake-events.ts";
import { createFakeTurns } from "./fake-turns.ts";
import { exampleEnvironment, respondWithJson, respondWithProblem, readRequest, type SeenRequest } from "./responses.ts";

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
  /**
   * Reports the state of a message that a device took, as its device would: the status of the message, and an event. Before the first
   * report a message is `accepted`.
   *
   * @throws RangeError for a message that no device took
   */
  report(clientMessageId: string, members: Partial<MessageStatus>): MessageStatus;
  /** Makes a device ask for permission to use a tool. It is listed until it is decided. */
  ask(deviceId: string, members: Partial<Approval> & Pick<Approval, "id">): Approval;
  /** Makes a turn say something, for readers of events with `include: "output"`. */
  say(deviceId: string, delta: Readonly<Record<string, unknown>>): void;
  /** Replaces the responses of the next requests, one each; an `Error` is thrown. Requests for a stream of events do not count. */
  interrupt(...responses: readonly (() => Response | Error)[]): void;
}

/** Options of {@link createFakeServer}. */
export interface FakeServerOptions {
  /** Epoch milliseconds; default: the platform's clock. */
  readonly now?: () => number;
  /** The outcome of a message on its device. Default `started`. */
  readonly disposition?: "started" | "queued";
  /** Whether there are statuses of messages and requests for permission. Default `true`: a server without them is 404 there. */
  readonly extensions?: boolean;
  /** Whether there are streams of events. Default `false`: `watch` reads lists then. */
  readonly events?: boolean;
  /** Whether a repeated message id runs once; responses then carry `x-message-deduplication`. Default `true`. */
  readonly deduplicates?: boolean;
}

/**
 * Creates a {@link FakeServer}. Lists have pages, `onlineOnly` and entity tags. Sends fail with `connection_not_found`,
 * `connection_replaced`, `device_offline`, `agent_required`, `invalid_request` and `message_id_reused` as on a real server; decisions
 * with `approval_not_found` and `approval_decided`, once a device has asked. Statuses of messages wait for their end.
 */
export function createFakeServer(options: FakeServerOptions = {}): FakeServer {
  const { now = platformNow, deduplicates = true, disposition = "started", extensions = true } = options;
  const events = createFakeEvents();
  const turns = createFakeTurns(events, now);
  const rows = new Map<string, Environment>();
  const deviceOf = new Map<string, string>();
  const requests: SeenRequest[] = [];
  const taken: TakenSend[] = [];
  const interruptions: (() => Response | Error)[] = [];
  let connections = 0;

  function put(members: Partial<Environment> & { readonly deviceId: string }): Environment {
    const row = { ...(rows.get(members.deviceId) ?? exampleEnvironment(members)), ...members };
    rows.set(row.deviceId, row);
    const { deviceId, connectionId } = row;
    events.emit("environment", deviceId, { deviceId, connectionId, environment: row });
    return row;
  }

  const targetOf = (deviceId: string) => ({ deviceId, connectionId: rows.get(deviceId)?.connectionId ?? null });

  function remove(deviceId: string): boolean {
    const { id } = rows.get(deviceId) ?? {};
    if (!rows.delete(deviceId)) return false;
    const data = { deviceId, connectionId: null, environment: { id, deviceId }, removed: true };
    events.emit("environment", deviceId, data);
    return true;
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
    const fail = (code: ProblemCode): Response => respondWithProblem(code)();
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
    const accepted = { success: true, message: `Message accepted by the device (${disposition}).`, disposition };
    if (repeated !== undefined) return respondWithJson(200, accepted, { "idempotency-replayed": "true" })();
    if (row.connectionId === null) return fail("device_offline");
    if (row.connectionId !== connectionId) return fail("connection_replaced");
    const refusal = turns.refuse(body);
    if (refusal !== null) return fail(refusal);
    taken.push({ deviceId: row.deviceId, connectionId, body });
    turns.take(row, body, disposition);
    return respondWithJson(200, accepted)();
  }

  function respond(url: URL, init: RequestInit): Response | Promise<Response> {
    const status = /\/v1\/environments\/([^/]+)\/messages\/([^/]+)$/.exec(url.pathname);
    if (extensions && init.method === "GET" && status !== null) {
      const [connectionId = "", id = ""] = status.slice(1).map(decodeURIComponent);
      return turns.retrieve(deviceOf.get(connectionId) ?? "", id, url.searchParams, init.signal);
    }
    if (extensions && init.method === "GET" && url.pathname.endsWith("/v1/environments/approvals")) return turns.list();
    const [, listed] = /\/v1\/environments\/([^/]+)\/messages$/.exec(url.pathname) ?? [];
    if (extensions && init.method === "GET" && listed !== undefined) {
      const deviceId = deviceOf.get(listed) ?? listed;
      return rows.has(deviceId)
        ? turns.listMessages(deviceId, url.searchParams)
        : respondWithProblem("connection_not_found")();
    }
    const found = /\/v1\/environments(?:\/([^/]+))?(\/messages)?$/.exec(url.pathname);
    if (found === null) return respondWithProblem("endpoint_not_found")();
    const [, id, tail] = found;
    const etag = new Headers(init.headers).get("if-none-match");
    if (init.method === "POST" && tail !== undefined && id !== undefined && typeof init.body === "string")
      return send(decodeURIComponent(id), JSON.parse(init.body));
    if (init.method === "DELETE" && id !== undefined && tail === undefined) {
      return remove(decodeURIComponent(id))
        ? new Response(null, { status: 204 })
        : respondWithProblem("environment_not_found")();
    }
    if (init.method !== "GET" || tail !== undefined) return respondWithProblem("endpoint_not_found")();
    if (id === undefined) return list(url.searchParams, etag);
    const row = rows.get(decodeURIComponent(id));
    return row === undefined ? respondWithProblem("environment_not_found")() : tagged(row, etag);
  }

  return {
    requests,
    taken,
    put,
    async fetch(url, init) {
      init.signal?.throwIfAborted();
      requests.push(readRequest(url, init));
      // A watcher asks for a stream beside its other requests.
      const { pathname, searchParams } = new URL(url);
      if (pathname.endsWith("/v1/environments/events")) {
        if (options.events !== true) return respondWithProblem("endpoint_not_found")();
        return events.open(searchParams, new Headers(init.headers).get("last-event-id"), init.signal);
      }
      const interruption = interruptions.shift();
      const response = interruption === undefined ? await respond(new URL(url), init) : interruption();
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
    remove: (deviceId) => void remove(deviceId),
    report: turns.report,
    ask: (deviceId, members) => turns.ask(targetOf(deviceId), members),
    say: (deviceId, delta) =>
      events.emit("output", deviceId, { ...targetOf(deviceId), agentId: "agent-1", conversationId: "default", delta }),
    interrupt: (...responses) => void interruptions.push(...responses),
  };
}

function idsOf({ messages }: SendMessageBody): readonly string[] {
  return messages.flatMap((message) => ("approvals" in message ? [] : [message.client_message_id]));
}

/** A response with an entity tag, or 304 if the caller already has it. As at the gateway, heartbeats change the tag every 30 seconds. */
function tagged(value: unknown, known: string | null): Response {
  const text = JSON.stringify(value, (name, member: unknown) =>
    (name === "lastHeartbeat" || name === "lastSeenAt") && typeof member === "number"
      ? Math.floor(member / 30_000)
      : member,
  );
  let hash = 5381;
  for (const character of text) hash = (hash * 33 + (character.codePointAt(0) ?? 0)) % 4_294_967_296;
  const etag = `W/"${hash.toString(36)}"`;
  return known === etag
    ? new Response(null, { status: 304, headers: { etag } })
    : respondWithJson(200, value, { etag })();
}
