import type { UnreadBody } from "../engine/upstream.ts";

/** The body of a `Response`, read whole or streamed on. */
export interface WebBody extends UnreadBody {
  /** The whole body, what was read in vain included. */
  stream(): ReadableStream<Uint8Array>;
}

/** Takes over a stream. */
export function createWebBody(source: ReadableStream<Uint8Array>): WebBody {
  const chunks: Uint8Array[] = [];
  let reader: ReadableStreamDefaultReader<Uint8Array> | null = null;
  return {
    async read(maxBytes) {
      reader = source.getReader();
      let length = 0;
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return concatenate(chunks, length);
        chunks.push(value);
        length += value.length;
        if (length > maxBytes) return null;
      }
    },
    discard() {
      // It is of no interest how the body would have ended.
      void source.cancel().catch(() => undefined);
    },
    stream() {
      if (reader === null) return source;
      return resume(chunks, reader);
    },
  };
}

function resume(chunks: Uint8Array[], reader: ReadableStreamDefaultReader<Uint8Array>): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const chunk = chunks.shift();
      if (chunk !== undefined) return controller.enqueue(chunk);
      const { done, value } = await reader.read();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    cancel: (reason) => reader.cancel(reason),
  });
}

function concatenate(chunks: readonly Uint8Array[], length: number): Uint8Array {
  const [only] = chunks;
  if (only !== undefined && chunks.length === 1) return only;
  const whole = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    whole.set(chunk, offset);
    offset += chunk.length;
  }
  return whole;
}
