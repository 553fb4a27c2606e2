/** The streams of events of a fake server: every event is kept, so that a stream can begin after any of them. */

/** The type of an event of a fake server. */
export type FakeEventType = "environment" | "message" | "approval" | "output";

/** The events of a fake server, and its open streams. */
export interface FakeEvents {
  /** Adds an event about a device, and passes it to the open streams. */
  emit(type: FakeEventType, deviceId: string, data: object): void;
  /** Opens a stream after the event with this id; `oldest`: with every event; `null`: with what happens from now on. */
  open(query: URLSearchParams, lastEventId: string | null, signal: AbortSignal | null | undefined): Response;
}

interface FakeEvent {
  readonly type: FakeEventType;
  readonly deviceId: string;
  readonly text: string;
}

const prefix = "fake.";

/** Creates {@link FakeEvents} without events. */
export function createFakeEvents(): FakeEvents {
  const events: FakeEvent[] = [];
  const readers = new Set<(event: FakeEvent) => void>();

  /** How many events a reader has; `null` for an id of another server. */
  function positionOf(lastEventId: string | null): number | null {
    if (!lastEventId) return events.length;
    if (lastEventId === "oldest") return 0;
    const position = lastEventId.startsWith(prefix) ? Number(lastEventId.slice(prefix.length)) : Number.NaN;
    return Number.isInteger(position) && position <= events.length ? position : null;
  }

  return {
    emit(type, deviceId, data) {
      const id = `${prefix}${events.length + 1}`;
      const event = { type, deviceId, text: `id: ${id}\nevent: ${type}\ndata: ${JSON.stringify(data)}\n\n` };
      events.push(event);
      for (const receive of [...readers]) receive(event);
    },
    open(query, lastEventId, signal) {
      const position = positionOf(lastEventId);
      const encoder = new TextEncoder();
      const deviceId = query.get("deviceId");
      const isWanted = (event: FakeEvent): boolean =>
        (deviceId === null || event.deviceId === deviceId) &&
        (event.type !== "output" || query.get("include") === "output");
      const start = `retry: 1\nid: ${prefix}${position ?? events.length}\n\n`;
      const gap = position === null ? `id: ${prefix}${events.length}\nevent: gap\ndata: {"reason":"unknown"}\n\n` : "";
      let close = (): void => undefined;
      const body = new ReadableStream<Uint8Array>({
        start(controller) {
          const receive = (event: FakeEvent): void => {
            if (isWanted(event)) controller.enqueue(encoder.encode(event.text));
          };
          controller.enqueue(encoder.encode(start + gap));
          for (const event of events.slice(position ?? events.length)) receive(event);
          readers.add(receive);
          close = () => void readers.delete(receive);
          signal?.addEventListener("abort", () => {
            if (readers.delete(receive)) controller.error(signal.reason);
          });
        },
        cancel: () => close(),
      });
      return new Response(body, { status: 200, headers: { "content-type": "text/event-stream" } });
    },
  };
}
