/** The requests of the commands to a server. No other module uses the client's operations. */
import {
  type Approval,
  type ApprovalVerdict,
  type ChangeModeResponse,
  createTransport,
  decideApproval,
  type DeviceSelector,
  type Environment,
  type EnvironmentEvent,
  type EnvironmentList,
  isLettaEnvironmentsError,
  type LettaEnvironmentsError,
  listAllMessages,
  listApprovals,
  type ListEnvironmentsInput,
  listEnvironments,
  type ListMessagesInput,
  type MessageStatus,
  type Middleware,
  retrieveEnvironment,
  retrieveMessage,
  type RetrieveMessageInput,
  type SendMessageBody,
  sendMessage,
  type SendOutcome,
  sendToDevice,
  setMode,
  stop,
  type StopInput,
  type StopTurnResponse,
  type StreamedEvent,
  streamEvents,
  type StreamEventsOptions,
  type Transport,
  type TransportEvent,
  watchEnvironments,
} from "@letta-environments/client";
import { CommandError } from "@letta-environments/command-line";
import type { Clock, Host } from "./host.ts";
import { clearLine } from "./progress.ts";
import type { Settings } from "./settings.ts";

/** How a message is sent. */
export interface SendSettings {
  readonly idempotencyKey: string | undefined;
  /** How long to wait for an offline device, in milliseconds. */
  readonly waitMs: number;
  /** Called when the message leaves, and not before. */
  onSend(): void;
}

/** The outcome of a message, and the connection that received it. */
export interface Sent {
  readonly outcome: SendOutcome;
  readonly connectionId: string;
}

/** How events are followed. */
export interface FollowOptions extends StreamEventsOptions {
  /** Called when a stream cannot be opened. */
  onFailure(error: LettaEnvironmentsError): void;
}

/** The operations of a server. All reject with a `LettaEnvironmentsError`. */
export interface EnvironmentOperations {
  list(query: ListEnvironmentsInput): Promise<EnvironmentList>;
  retrieve(deviceId: string): Promise<Environment>;
  send(connectionId: string, body: SendMessageBody, settings: SendSettings): Promise<Sent>;
  /** Sends to the device's connection at that time; rejects with `device_offline` if it has none in time. */
  sendToDevice(device: DeviceSelector, body: SendMessageBody, settings: SendSettings): Promise<Sent>;
  stop(device: DeviceSelector, turn: StopInput): Promise<StopTurnResponse>;
  setMode(device: DeviceSelector, mode: string, conversation: StopInput): Promise<ChangeModeResponse>;
  message(connectionId: string, messageId: string, query: RetrieveMessageInput): Promise<MessageStatus>;
  /** Every message of a device, the latest first. `id`: its connectionId, or its deviceId. */
  messages(id: string, query: ListMessagesInput): AsyncGenerator<MessageStatus, void, undefined>;
  /** Ends when the user ends the program, with the signal of the options, or by the second stream in a row that hangs before it opens. */
  events(options: FollowOptions): AsyncGenerator<StreamedEvent, void, undefined>;
  /** Every request for permission that waits. */
  approvals(): Promise<readonly Approval[]>;
  decide(approval: Approval, verdict: ApprovalVerdict): Promise<void>;
  /** Ends when the user ends the program. Temporary failures do not end it. */
  watch(query: ListEnvironmentsInput, intervalMs: number): AsyncIterable<EnvironmentEvent>;
  /** Epoch milliseconds by the server's clock, as far as it is known. */
  now(): number;
}

/** Returns the operations of a server. All end when the user ends the program. */
export function createEnvironmentOperations(host: Host, settings: Settings): EnvironmentOperations {
  const { interrupted: signal } = host;
  const { now, middleware } = createServerClock(host.clock);
  // One transport for the whole command, because it learns from each response whether the server deduplicates messages.
  const transport = createTransport({
    ...settings,
    middleware,
    // Reads must be complete, because their fields are printed.
    validate: "throw",
    onEvent(event: TransportEvent) {
      if (event.type === "retry" && event.error.status === 429) announceWait(host, event.delayMs);
    },
  });
  return {
    list: async (query) => listEnvironments(transport, query, { signal }),
    retrieve: async (deviceId) => retrieveEnvironment(transport, deviceId, { signal }),
    async send(connectionId, body, { idempotencyKey, onSend }) {
      const { outcome } = await sendMessage(withSends(transport, onSend), connectionId, body, {
        signal,
        idempotencyKey,
      });
      return { outcome, connectionId };
    },
    async sendToDevice(device, body, { idempotencyKey, waitMs, onSend }) {
      const options = { signal, idempotencyKey, waitUntilOnlineMs: waitMs };
      const { outcome, environment } = await sendToDevice(withSends(transport, onSend), device, body, options);
      return { outcome, connectionId: environment.connectionId ?? "" };
    },
    stop: async (device, turn) => stop(transport, device, turn, { signal }),
    setMode: async (device, mode, conversation) => setMode(transport, device, mode, conversation, { signal }),
    message: async (connectionId, messageId, query) =>
      retrieveMessage(transport, connectionId, messageId, query, { signal }),
    messages: (id, query) => listAllMessages(transport, id, query, { signal }),
    events: ({ onFailure, ...options }) =>
      streamEvents(withFailures(transport, onFailure), {
        ...options,
        signal: AbortSignal.any([signal, options.signal ?? signal]),
      }),
    async approvals() {
      const found: Approval[] = [];
      const cursors = new Set<string>();
      for (let after: string | undefined; ;) {
        const page = await listApprovals(transport, { limit: maxPageSize, after }, { signal });
        found.push(...page.approvals);
        if (!page.hasNextPage || page.cursor === null || cursors.has(page.cursor)) return found;
        cursors.add(page.cursor);
        after = page.cursor;
      }
    },
    async decide(approval, verdict) {
      await decideApproval(
        withSends(transport, () => undefined),
        approval,
        verdict,
        { signal },
      );
    },
    watch: (query, intervalMs) => watchEnvironments(transport, query, { signal, intervalMs }),
    now,
  };
}

/**
 * Returns a transport that reports the start of each send. The response to a send only needs `success`: a delivered message must
 * not become unknown because the response lacks other members.
 */
function withSends(transport: Transport, onSend: () => void): Transport {
  return {
    async send(request, options) {
      if (request.operation !== "sendMessage") return transport.send(request, options);
      const findMismatch = (value: unknown): string | null => {
        const path = request.findMismatch(value);
        return path === "" || path === "success" ? path : null;
      };
      onSend();
      return transport.send({ ...request, findMismatch }, options);
    },
  };
}

/** Returns a transport that reports each request that fails. */
function withFailures(transport: Transport, report: (error: LettaEnvironmentsError) => void): Transport {
  return {
    async send(request, options) {
      try {
        return await transport.send(request, options);
      } catch (error) {
        if (isLettaEnvironmentsError(error)) report(error);
        throw error;
      }
    },
  };
}

const maxPageSize = 100;

/** Follows pages until there are `limit` rows (`null`: until the last page). Rejects if a server repeats itself. */
export async function collectEnvironments(
  operations: Pick<EnvironmentOperations, "list">,
  query: ListEnvironmentsInput,
  limit: number | null,
): Promise<EnvironmentList> {
  const rows: EnvironmentList["connections"] = [];
  const cursors = new Set<string>();
  for (let after: string | undefined; ;) {
    const pageSize = limit === null ? maxPageSize : Math.min(maxPageSize, limit - rows.length);
    const page = await operations.list({ ...query, limit: pageSize, after });
    rows.push(...page.connections);
    if (limit !== null && rows.length >= limit) {
      return { connections: rows.slice(0, limit), hasNextPage: page.hasNextPage || rows.length > limit };
    }
    if (!page.hasNextPage) return { connections: rows, hasNextPage: false };
    const next = page.connections.at(-1)?.id;
    if (next === undefined || cursors.has(next)) {
      throw new CommandError("the server says that there are more devices but returns none");
    }
    cursors.add(next);
    after = next;
  }
}

/** Reads the latest `limit` messages of a device (`null`: all of them), and one more, to know whether there are more. */
export async function collectMessages(
  operations: Pick<EnvironmentOperations, "messages">,
  id: string,
  query: ListMessagesInput,
  limit: number | null,
): Promise<{ readonly messages: readonly MessageStatus[]; readonly hasMore: boolean }> {
  const messages: MessageStatus[] = [];
  const pageSize = Math.min(maxPageSize, limit === null ? maxPageSize : limit + 1);
  for await (const message of operations.messages(id, { ...query, limit: pageSize })) {
    if (messages.length === limit) return { messages, hasMore: true };
    messages.push(message);
  }
  return { messages, hasMore: false };
}

/** Refuses the rows of a server that does not know tags and therefore returns devices without them. */
export function refuseIgnoredTags(
  { tag = [] }: Pick<ListEnvironmentsInput, "tag">,
  connections: readonly Environment[],
): void {
  const wanted = [tag].flat();
  if (connections.every(({ tags = [] }) => wanted.every((each) => tags.includes(each)))) return;
  throw new CommandError("the server does not support tags, an extension of @letta-environments: it ignored --tag");
}

/** Explains a silence: the client retries a rate-limited request automatically. */
function announceWait({ stderr }: Host, delayMs: number): void {
  const seconds = Math.ceil(delayMs / 1_000);
  void stderr.write(`${stderr.isTerminal ? clearLine : ""}letta-env: rate limited; trying again in ${seconds} s\n`);
}

/** `Date` has whole seconds, and responses take time: a smaller difference is noise. */
const minDifferenceMs = 5_000;

/**
 * Follows the clock of a server by the `Date` and `Age` of its responses (RFC 9110 section 6.6.1, RFC 9111 section 5.1), so that a wrong
 * clock on this machine does not change which devices are online.
 */
function createServerClock(clock: Pick<Clock, "now">): { now(): number; readonly middleware: Middleware } {
  let differenceMs = 0;
  return {
    now: () => clock.now() + differenceMs,
    async middleware(request, next) {
      const response = await next(request);
      const { headers } = response;
      // A second `GMT` changes nothing, and the format of `asctime` has none (RFC 9110 section 5.6.7).
      const timeMs = Date.parse(`${headers.get("date")} GMT`) + (Number(headers.get("age")) || 0) * 1_000;
      if (!Number.isNaN(timeMs)) {
        const seenMs = timeMs - clock.now();
        differenceMs = Math.abs(seenMs) < minDifferenceMs ? 0 : seenMs;
      }
      return response;
    },
  };
}
