/**
 * Readers of events of a simulation. A reader that lost its stream resumes behind its last event. At the end another reader starts where
 * it started and reads what is stored: both must have received the same, in the same order.
 */
import { type Random, readEvents, type EventSink, type ReceivedEvent, type Trace } from "@letta-environments/testkit";
import type { PlainResponse } from "@letta-environments/schema";
import type { Pipeline } from "../../../src/pipeline.ts";
import { fakeRequest } from "../../support/fake-request.ts";
import type { SimulatedKey } from "../callers.ts";
import { type Message, messageKey, type Truth } from "../truth.ts";
import type { DeviceRecord, ReportedStatus } from "./record.ts";

/** See the description of this file. */
export interface SimulatedReader {
  readonly key: SimulatedKey;
  readonly isOpen: boolean;
  readonly events: readonly ReceivedEvent[];
  open(): Promise<void>;
  /** Takes what has arrived, and checks it. */
  poll(): void;
  drop(): void;
}

/** Dependencies of a reader. */
export interface ReaderOptions {
  readonly key: SimulatedKey;
  readonly random: Random;
  readonly trace: Trace;
  readonly truth: Truth;
  readonly record: DeviceRecord;
  readonly pipeline: () => Pipeline | null;
  /** Continues behind this event. */
  readonly from?: string;
}

interface EventMessage extends ReportedStatus {
  readonly clientMessageId: string;
  readonly agentId: string | null;
  readonly conversationId: string;
}

/** Creates a reader without a stream. */
export function createReader(options: ReaderOptions): SimulatedReader {
  const { key, trace, truth, record } = options;
  const name = `${key.name} as a reader`;
  const events: ReceivedEvent[] = [];
  let sink: EventSink | null = null;
  let taken = 0;
  let lastId: string | null = options.from ?? null;
  let isOpening = false;

  function take(event: ReceivedEvent): void {
    events.push(event);
    record.counts["read events"] += 1;
    const { deviceId, message, approval, agentId } = event.data as {
      readonly deviceId?: string;
      readonly agentId?: string | null;
      readonly message?: EventMessage;
      readonly approval?: { readonly agentId: string | null };
    };
    if (event.type === "gap") {
      record.counts.gaps += 1;
      return;
    }
    const about = message?.agentId ?? approval?.agentId ?? agentId ?? null;
    if (deviceId === undefined || !key.reaches(deviceId, about ?? "agent-1"))
      truth.violate(`${name} is shown ${JSON.stringify(event)}, which it may not see`);
    const foreign = /<(\w+)\/(\w+)>/.exec(JSON.stringify(event.data));
    if (foreign !== null && foreign[1] !== key.tenant) truth.violate(`${name} is shown ${foreign[0]}`);
    if (message !== undefined && deviceId !== undefined) checkMessage(deviceId, message);
  }

  /** A state in an event was true once, if not at the time at which the event arrives. */
  function checkMessage(deviceId: string, reported: EventMessage): void {
    const { clientMessageId: id, agentId, conversationId } = reported;
    const message: Message = { tenant: key.tenant, deviceId, agentId: agentId ?? "", conversationId, id, text: "" };
    const from = record.messages.get(messageKey(message))?.phases[0]?.atMs ?? 0;
    record.checkStatus(message, reported, from);
  }

  function poll(): void {
    if (sink === null) return;
    for (; taken < sink.events.length; taken++) {
      const event = sink.events[taken];
      if (event !== undefined) take(event);
    }
    if (sink.lastEventId !== "") lastId = sink.lastEventId;
    if (sink.end !== null) close();
  }

  function close(): void {
    sink = null;
    taken = 0;
  }

  async function open(): Promise<void> {
    const pipeline = options.pipeline();
    if (pipeline === null || sink !== null) return;
    const headers = lastId === null ? {} : { "last-event-id": lastId };
    const request = fakeRequest({ key: key.key, path: "/v1/environments/events", query: "include=output", headers });
    const response = (await pipeline.handle(request)) as PlainResponse & {
      readonly stream?: ReadableStream<Uint8Array>;
    };
    if (options.pipeline() !== pipeline) return void response.stream?.cancel();
    if (response.stream === undefined) return trace.record(`${name} is refused: ${response.status}`);
    trace.record(`${name} reads on`);
    sink = readEvents(response.stream);
  }

  return {
    key,
    events,
    get isOpen() {
      return sink !== null;
    },
    async open() {
      if (isOpening) return;
      isOpening = true;
      await open();
      isOpening = false;
    },
    poll,
    drop() {
      isOpening = false;
      if (sink === null) return;
      poll();
      void sink?.cancel();
      close();
    },
  };
}

/** Compares what a reader received behind its first event with what another one received there; `null` when both are equal. */
export function compareReaders({ key, events }: SimulatedReader, witness: SimulatedReader): string | null {
  if ([...events, ...witness.events].some(({ type }) => type === "gap")) return null;
  const length = Math.max(events.length - 1, witness.events.length);
  for (let index = 0; index < length; index++) {
    const [one, other] = [events[index + 1], witness.events[index]].map(contentOf);
    if (one !== other) return `event ${index + 1} of ${key.name} is ${one}, and stored is ${other}`;
  }
  return null;
}

/** An event without its id, which depends on the time of the present process. */
function contentOf(event: ReceivedEvent | undefined): string | undefined {
  return event && JSON.stringify({ ...event, id: "" });
}

/**
 * Returns the first event that was received twice, else `null`. A repeat has the same id, or the same text of a turn: a turn says each text
 * once. Other changes may be stored again after a crash, with a new id.
 */
export function findRepeat({ events }: SimulatedReader): ReceivedEvent | null {
  const seen = new Set<string>();
  for (const event of events.filter(({ type }) => type !== "gap")) {
    const text = JSON.stringify(event.data);
    if (seen.has(event.id) || (event.type === "output" && seen.has(text))) return event;
    seen.add(event.id).add(text);
  }
  return null;
}
