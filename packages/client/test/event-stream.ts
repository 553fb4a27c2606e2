/** Streams of events for tests: what a server writes is pushed by the test. */

/** A stream that a test writes. */
export interface WrittenStream {
  readonly response: () => Response;
  write(text: string | Uint8Array<ArrayBuffer>): void;
  /** Writes an event with its data. */
  event(id: string, type: string, data: object): void;
  end(): void;
  fail(): void;
  readonly isCancelled: boolean;
}

/** Creates a {@link WrittenStream}. */
export function createWrittenStream(): WrittenStream {
  const encoder = new TextEncoder();
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  let isCancelled = false;
  const body = new ReadableStream<Uint8Array>({
    start: (started) => void (controller = started),
    cancel: () => void (isCancelled = true),
  });
  const write: WrittenStream["write"] = (text) =>
    controller?.enqueue(typeof text === "string" ? encoder.encode(text) : text);
  return {
    response: () => new Response(body, { headers: { "content-type": "text/event-stream; charset=utf-8" } }),
    write,
    event: (id, type, data) => write(`id: ${id}\nevent: ${type}\ndata: ${JSON.stringify(data)}\n\n`),
    end: () => controller?.close(),
    fail: () => controller?.error(new TypeError("terminated")),
    get isCancelled() {
      return isCancelled;
    },
  };
}
