/**
 * Streams events over `fetch`: of environments, messages and requests for permission, and the output of turns. When a stream ends, the
 * next one continues after its last event.
 */
import type {
  ApprovalEvent,
  EnvironmentEvent as EnvironmentChange,
  GapEvent,
  MessageEvent as MessageChange,
  OutputEvent,
} from "@letta-environments/schema";
import { isRecord } from "@letta-environments/schema/guards";
import { monotonic, onAbort, random, sleep, startAlarm } from "../adapters/platform.ts";
import { check, checkFunction, checkIdentifier } from "../check.ts";
import { createError, isLettaEnvironmentsError } from "../error.ts";
import { createEventParser, eventIdPattern, type EventParser, type ParsedEvent } from "../event-parser.ts";
import { abortable } from "../abortable.ts";
import { notify, type RequestOptions } from "../options.ts";
import { encodeQuery } from "../query.ts";
import { discard, parseJson, streamOf } from "../response.ts";
import type { Transport } from "../transport.ts";
import { sendExtension } from "./extension.ts";

/** An event of a stream. Pass its `id` as `lastEventId` to continue after it. Texts come from devices and models: escape them for a page or terminal. */
export type StreamedEvent =
  | ({ readonly type: "environment"; readonly id: string } & EnvironmentChange)
  | ({ readonly type: "message"; readonly id: string } & MessageChange)
  | ({ readonly type: "approval"; readonly id: string } & ApprovalEvent)
  | ({ readonly type: "output"; readonly id: string } & OutputEvent)
  /** Events are missing before the next one: read what you need with ordinary requests. `id` is empty if no stream has had an id yet. */
  | ({ readonly type: "gap"; readonly id: string } & GapEvent);

/** Options of {@link streamEvents}. `timeoutMs` applies to the start of each stream. */
export interface StreamEventsOptions extends Omit<RequestOptions, "maxRetries"> {
  /** `output`: also the output of turns. The key needs the scope `view`. */
  readonly include?: "output" | undefined;
  /** Only events of this device. */
  readonly deviceId?: string | undefined;
  /**
   * The `id` of the last event that you have; the stream begins after it. `oldest`: the stream begins with the oldest event that the server keeps.
   * Default, or an empty text: the stream begins now.
   */
  readonly lastEventId?: string | undefined;
  /** Called whenever a stream is open: it has everything that happens afterwards. Errors and rejections of hooks are ignored. */
  readonly onOpen?: (() => void) | undefined;
  /** Called whenever a stream that was open has ended. */
  readonly onClose?: (() => void) | undefined;
}

/** A server sends something every 15 seconds. After three times as long, the connection counts as broken. */
const silenceMs = 45_000;

/** Longest wait between two streams, unless the server asks for more, in milliseconds. */
const maxPauseMs = 30_000;

/** A stream that was open this long counts as working, so the next wait is short again. */
const stableMs = 5_000;

const types: readonly string[] = ["environment", "message", "approval", "output", "gap"];

/**
 * Streams events. After the end of a stream, or a temporary failure, the next one continues after the last event: nothing is missing or
 * repeated, unless an event `gap` says so. Waits between streams are random and grow up to 30 s, in addition to `Retry-After`. Other
 * failures are thrown as `LettaEnvironmentsError`, and so is the second `timeout` in a row before a stream has been open. Events of
 * types that are newer than this package are left out, and so are events without the object of their type, such as `message`. The iteration
 * ends when `signal` is aborted or the loop is left.
 */
export function streamEvents(
  transport: Transport,
  options: StreamEventsOptions = {},
): AsyncGenerator<StreamedEvent, void, undefined> {
  return abortable(options, (ended) => followStreams(transport, ended));
}

async function* followStreams(
  transport: Transport,
  options: StreamEventsOptions & { readonly signal: AbortSignal },
): AsyncGenerator<StreamedEvent, void, undefined> {
  const { query, requestOptions } = readOptions(options);
  const { signal, onOpen, onClose } = options;
  let { lastEventId = "" } = options;
  let retryMs = 1_000;
  let wasHung = false;
  let wasOpen = false;
  for (let attempt = 0; !signal.aborted; attempt += 1) {
    let pauseMs = 0;
    let openedAtMs = Infinity;
    try {
      const stream = await openStream(transport, query, lastEventId, { ...requestOptions, maxRetries: 0 });
      openedAtMs = monotonic();
      const parser = createEventParser();
      const reader = createStreamReader(stream, parser);
      const unfollow = onAbort(signal, reader.end);
      try {
        void notify(onOpen);
        // No stream so far has had an id, so this one begins now.
        if (wasOpen && !lastEventId) yield { type: "gap", id: "", reason: "unknown" };
        wasOpen = true;
        for (let parsed = await reader.read(); parsed; parsed = await reader.read()) {
          for (const each of parsed) {
            lastEventId = each.id || lastEventId;
            const event = readEvent(each);
            if (event) yield event;
          }
          lastEventId = parser.lastEventId || lastEventId;
          // 0 would mean no pause at all.
          retryMs = parser.retryMs || retryMs;
        }
      } finally {
        unfollow();
        reader.end();
        void notify(onClose);
      }
    } catch (error) {
      if (signal.aborted) return;
      if (!isLettaEnvironmentsError(error) || !error.retryable) throw error;
      // Over XMLHttpRequest, `fetch` resolves at the end of the body, which a stream does not have.
      const isHung = error.code === "timeout";
      if (isHung && wasHung && !wasOpen) throw error;
      wasHung = isHung;
      pauseMs = error.retryAfterMs ?? 0;
    }
    if (monotonic() - openedAtMs >= stableMs) attempt = 0;
    await sleep(pauseMs + random() * Math.min(maxPauseMs, retryMs * 2 ** attempt), signal);
  }
}

interface ReadOptions {
  readonly query: string;
  readonly requestOptions: RequestOptions;
}

/** @throws LettaEnvironmentsError `invalid_argument` */
function readOptions(options: StreamEventsOptions): ReadOptions {
  const { include, deviceId, lastEventId = "", onOpen, onClose, ...requestOptions } = options;
  if (deviceId !== undefined) checkIdentifier("deviceId", deviceId);
  const isId = typeof lastEventId === "string" && eventIdPattern.test(lastEventId);
  check("lastEventId", isId, "must be the id of an event");
  if (onOpen !== undefined) checkFunction("onOpen", onOpen);
  if (onClose !== undefined) checkFunction("onClose", onClose);
  return { query: encodeQuery({ include, deviceId }), requestOptions };
}

async function openStream(
  transport: Transport,
  query: string,
  lastEventId: string,
  options: RequestOptions,
): Promise<ReadableStream<Uint8Array>> {
  const { data: response } = await sendExtension<Response>(
    transport,
    {
      operation: "streamEvents",
      path: `/v1/environments/events${query}`,
      headers: { accept: "text/event-stream", ...(lastEventId && { "last-event-id": lastEventId }) },
      safety: "read",
      findMismatch: () => null,
      open: (opened) => opened,
    },
    options,
    "environment_not_found",
  );
  const isEvents = /^text\/event-stream\s*(;|$)/i.test(response.headers.get("content-type") ?? "");
  const stream = isEvents && streamOf(response);
  if (stream) return stream;
  discard(response);
  throw createError("invalid_response", {
    status: response.status,
    message: `invalid response: ${isEvents ? "this fetch returns no stream" : "no stream of events"}`,
  });
}

/** Reads the body of a stream. */
interface StreamReader {
  /** The next events; `undefined` at the end, when the connection breaks or is silent for too long, or when the signal is aborted. */
  read(): Promise<ParsedEvent[] | undefined>;
  end(): void;
}

function createStreamReader(stream: ReadableStream<Uint8Array>, parser: EventParser): StreamReader {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  // Size limit of one event, in characters.
  const maxEventLength = 2 ** 23;
  const end = (): void => void reader.cancel().catch(() => undefined);
  return {
    end,
    async read() {
      const cancelAlarm = startAlarm(silenceMs, null, end);
      // A broken connection is an end: the next stream continues.
      const chunk = await reader.read().catch(() => undefined);
      cancelAlarm();
      if (!chunk?.value) return undefined;
      const events = parser.push(decoder.decode(chunk.value, { stream: true }));
      if (parser.pendingLength <= maxEventLength) return events;
      throw createError("response_too_large", {
        message: `an event of more than ${maxEventLength} characters`,
        status: 200,
      });
    },
  };
}

function readEvent({ id, type, data }: ParsedEvent): StreamedEvent | undefined {
  const value = parseJson(data);
  if (!types.includes(type) || !isRecord(value)) return undefined;
  // Nothing else is checked.
  const content = type === "gap" ? value : value[type === "output" ? "delta" : type];
  return isRecord(content) ? ({ ...value, type, id } as StreamedEvent) : undefined;
}
