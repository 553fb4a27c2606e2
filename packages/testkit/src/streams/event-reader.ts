/** Reads a stream of server-sent events like a browser (WHATWG HTML, section 9.2.6), and records them. */

/** A received event. */
export interface ReceivedEvent {
  readonly id: string;
  readonly type: string;
  readonly data: Record<string, unknown>;
}

/** The events that were received. */
export interface EventSink {
  readonly events: ReceivedEvent[];
  /** The last id, even one without an event. */
  lastEventId: string;
  comments: number;
  /** How the stream ended; `null` while it is open. */
  end: "closed" | "failed" | null;
  cancel(): Promise<void>;
}

/** Reads a stream until it ends. */
export function readEvents(stream: ReadableStream<Uint8Array>): EventSink {
  const decoder = new TextDecoder();
  const reader = stream.getReader();
  const sink: EventSink = { events: [], lastEventId: "", comments: 0, end: null, cancel: () => reader.cancel() };
  let text = "";

  function receiveBlock(block: string): void {
    let [type, data] = ["message", ""];
    for (const line of block.split("\n")) {
      if (line.startsWith(":")) sink.comments += 1;
      else if (line.startsWith("id: ")) sink.lastEventId = line.slice(4);
      else if (line.startsWith("event: ")) type = line.slice(7);
      else if (line.startsWith("data: ")) data += line.slice(6);
    }
    if (data !== "") sink.events.push({ id: sink.lastEventId, type, data: JSON.parse(data) });
  }

  async function run(): Promise<void> {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      text += decoder.decode(value, { stream: true });
      const blocks = text.split("\n\n");
      text = blocks.pop() ?? "";
      for (const block of blocks) receiveBlock(block);
    }
  }

  run().then(
    () => (sink.end = "closed"),
    () => (sink.end = "failed"),
  );
  return sink;
}
