/** Converts fields and bodies between the web platform and plain values. */
import type { HeaderRecord } from "../fields/header-record.ts";
import type { UnreadBody } from "../rfc9111/messages.ts";

/** Converts the fields of a `Headers` to plain data. */
export function toHeaderRecord(headers: Headers): HeaderRecord {
  const cookies = headers.getSetCookie();
  const fields = Object.fromEntries(headers);
  return cookies.length === 0 ? fields : { ...fields, "set-cookie": cookies.join("\n") };
}

/** Converts plain fields to a `Headers`. */
export function toHeaders(record: HeaderRecord): Headers {
  const { "set-cookie": cookies, ...fields } = record;
  const headers = new Headers(fields);
  for (const cookie of cookies?.split("\n") ?? []) headers.append("set-cookie", cookie);
  return headers;
}

/**
 * Adds the information that `fetch` has about a response in addition to its fields. No constructor takes a URL, and some refuse the reason
 * phrases that servers send.
 */
export function withOrigin(response: Response, { url, redirected, status, statusText }: Response): Response {
  Object.defineProperties(response, { url: { value: url }, redirected: { value: redirected } });
  // The cache may have made a 304 or a range from the fetched response.
  return response.status === status ? Object.defineProperty(response, "statusText", { value: statusText }) : response;
}

/** The body of a `Response`, which can be read whole or streamed. */
export interface WebBody extends UnreadBody {
  /** The whole body, including the part that was already read. */
  stream(): ReadableStream<Uint8Array>;
}

/** Wraps a stream, which must not be used elsewhere afterwards. If the signal aborts, reading cancels it and rejects. */
export function createWebBody(source: ReadableStream<Uint8Array>, signal: AbortSignal | undefined): WebBody {
  const chunks: Uint8Array[] = [];
  let reader: ReadableStreamDefaultReader<Uint8Array> | null = null;
  const discard = (): void => {
    // A failure to cancel does not matter: nobody reads this body.
    void (reader ?? source).cancel().catch(() => undefined);
  };
  return {
    async read(maxBytes) {
      reader = source.getReader();
      if (signal?.aborted === true) discard();
      signal?.addEventListener("abort", discard, { once: true });
      try {
        let length = 0;
        for (;;) {
          const { done, value } = await reader.read();
          // A cancelled body ends like a complete one.
          signal?.throwIfAborted();
          if (done) return concatenate(chunks, length);
          chunks.push(value);
          length += value.length;
          if (length > maxBytes) return null;
        }
      } finally {
        signal?.removeEventListener("abort", discard);
      }
    },
    discard,
    stream: () => (reader === null ? source : resume(chunks, reader)),
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
