/**
 * Reads a stream up to a limit, because a `Content-Length` can be wrong and a compressed body grows. Returns `null` and cancels the
 * stream if it is longer. Rejects if the stream fails.
 */
export async function readStream(
  stream: ReadableStream<Uint8Array> | null,
  limitBytes: number,
): Promise<Uint8Array | null> {
  return stream === null ? new Uint8Array() : readAll(stream.getReader(), limitBytes);
}

/** Reads a stream like {@link readStream}. `onChunk` is called with the length of each chunk that is kept. */
export async function readAll(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  limitBytes: number,
  onChunk?: (byteCount: number) => void,
): Promise<Uint8Array | null> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    const { byteLength } = next.value;
    length += byteLength;
    if (length > limitBytes) {
      await reader.cancel().catch(() => undefined);
      return null;
    }
    chunks.push(next.value);
    onChunk?.(byteLength);
  }
  return concatenate(chunks, length);
}

/** Concatenates chunks; a single one is not copied. `length` is the sum of their lengths, in bytes. */
export function concatenate(chunks: readonly Uint8Array[], length: number): Uint8Array {
  const [only] = chunks;
  if (only !== undefined && chunks.length === 1) return only;
  const whole = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    whole.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return whole;
}
