/**
 * An environment server in memory, for tests: lists, single devices, sends with the errors of the real one, and the statuses of messages.
 * It checks neither keys nor the shape of bodies.
 */
import type { Approval, Environment, MessageStatus, SendMessageBody } from "@letta-environments/schema";
import { now as platformNow } from "../adapters/platform.ts";
import type { Fetch } from "../request.ts";
import { messageDeduplicationHeader } from "../retry.ts";
import { createFakeEvents } from "./fake-events.ts";
import { createFakeRows, type FakeRows } from "./fake-rows.ts";
import { createFakeTurns, type FakeTurns } from "./fake-turns.ts";
import { json, problem, readRequest, refuseAborted, type SeenRequest } from "./responses.ts";

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
  /** Makes a turn produce output, for readers of events with `include: "output"`. */
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
  /** Whether there are statuses of messages and requests for permission. Default `true`; a server without them responds 404. */
  readonly extensions?: boolean;
  /** Whether there are streams of events. Default `false`; `watch` then reads lists. */
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
  const rows = createFakeRows(events, now);
  const requests: SeenRequest[] = [];
  const taken: TakenSend[] = [];
  const interruptions: (() => Response | Error)[] = [];
  const targetOf = (deviceId: string) => ({ deviceId, connectionId: rows.find(deviceId)?.connectionId ?? null });

  function send(connectionId: string, body: SendMessageBody): Response {
    const deviceId = rows.deviceOf(connectionId);
    const row = deviceId === undefined ? undefined : rows.find(deviceId);
    const ids = idsOf(body);
    if (new Set(ids).size < ids.length) return problem("invalid_request");
    const isDefault = (body.conversationId ?? "default") === "default" || body.conversationId === "";
    if (!body.agentId && isDefault) return problem("agent_required");
    if (row === undefined) return problem("connection_not_found");
    const repeated = taken.find(
      (earlier) => deduplicates && earlier.deviceId === deviceId && idsOf(earlier.body).some((id) => ids.includes(id)),
    );
    if (repeated !== undefined && JSON.stringify(repeated.body.messages) !== JSON.stringify(body.messages))
      return problem("message_id_reused");
    const accepted = { success: true, message: `Message accepted by the device (${disposition}).`, disposition };
    if (repeated !== undefined) return json(200, accepted, { "idempotency-replayed": "true" });
    if (row.connectionId === null) return problem("device_offline");
    if (row.connectionId !== connectionId) return problem("connection_replaced");
    const refusal = turns.refuse(body);
    if (refusal !== null) return problem(refusal);
    taken.push({ deviceId: row.deviceId, connectionId, body });
    turns.take(row, body, disposition);
    return json(200, accepted);
  }

  const respond = createRouter({ rows, turns: extensions ? turns : null, send });

  return {
    requests,
    taken,
    put: rows.put,
    async fetch(url, init) {
      refuseAborted(init.signal);
      requests.push(readRequest(url, init));
      // A watcher requests a stream in addition to its other requests.
      const { pathname, searchParams } = new URL(url);
      if (pathname.endsWith("/v1/environments/events")) {
        if (options.events !== true) return problem("endpoint_not_found");
        return events.open(searchParams, new Headers(init.headers).get("last-event-id"), init.signal);
      }
      const interruption = interruptions.shift();
      const response = interruption === undefined ? await respond(new URL(url), init) : interruption();
      if (response instanceof Error) throw response;
      if (deduplicates && interruption === undefined) response.headers.set(messageDeduplicationHeader, "86400");
      return response;
    },
    connect: rows.connect,
    heartbeat: rows.heartbeat,
    disconnect: rows.disconnect,
    remove: (deviceId) => void rows.remove(deviceId),
    report: turns.report,
    ask: (deviceId, members) => turns.ask(targetOf(deviceId), members),
    say: (deviceId, delta) =>
      events.emit("output", deviceId, { ...targetOf(deviceId), agentId: "agent-1", conversationId: "default", delta }),
    interrupt: (...responses) => void interruptions.push(...responses),
  };
}

interface Routed {
  readonly rows: FakeRows;
  /** `null` for a server without statuses and requests for permission. */
  readonly turns: FakeTurns | null;
  readonly send: (connectionId: string, body: SendMessageBody) => Response;
}

/** Creates a function that responds to requests by method and path. */
function createRouter({ rows, turns, send }: Routed) {
  /** Messages and approvals; `null` for other requests. */
  function respondAsExtension({ pathname, searchParams }: URL, signal: RequestInit["signal"]) {
    const [, connection, id] = /\/v1\/environments\/([^/]+)\/messages\/([^/]+)$/.exec(pathname) ?? [];
    if (connection !== undefined && id !== undefined) {
      const deviceId = rows.deviceOf(decodeURIComponent(connection)) ?? "";
      return turns?.retrieve(deviceId, decodeURIComponent(id), searchParams, signal) ?? null;
    }
    if (pathname.endsWith("/v1/environments/approvals")) return turns?.list() ?? null;
    const [, listed] = /\/v1\/environments\/([^/]+)\/messages$/.exec(pathname) ?? [];
    if (turns === null || listed === undefined) return null;
    const deviceId = rows.deviceOf(listed) ?? listed;
    if (rows.find(deviceId) === undefined) return problem("connection_not_found");
    return turns.listMessages(deviceId, searchParams);
  }

  return (url: URL, { method, headers, body, signal }: RequestInit): Response | Promise<Response> => {
    const response = method === "GET" ? respondAsExtension(url, signal) : null;
    if (response !== null) return response;
    const found = /\/v1\/environments(?:\/([^/]+))?(\/messages)?$/.exec(url.pathname);
    if (found === null) return problem("endpoint_not_found");
    const id = found[1] === undefined ? null : decodeURIComponent(found[1]);
    const isForMessages = found[2] !== undefined;
    if (method === "POST" && isForMessages && id !== null && typeof body === "string")
      return send(id, JSON.parse(body));
    if (isForMessages) return problem("endpoint_not_found");
    const known = new Headers(headers).get("if-none-match");
    if (method === "GET") return id === null ? rows.list(url.searchParams, known) : rows.retrieve(id, known);
    if (method !== "DELETE" || id === null) return problem("endpoint_not_found");
    return rows.remove(id) ? new Response(null, { status: 204 }) : problem("environment_not_found");
  };
}

function idsOf({ messages }: SendMessageBody): readonly string[] {
  return messages.flatMap((message) => ("approvals" in message ? [] : [message.client_message_id]));
}
