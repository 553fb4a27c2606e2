/**
 * Reads a stream no further than a limit: a length that is announced can lie, and a compressed body grows. `null` for one that is longer, which is
 * given up. Rejects when it breaks off.
 */
export async function readStream(
  stream: ReadableStream<Uint8Array> | null,
  limitBytes: number,
): Promise<Uint8Array | null> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  const reader = stream?.getReader();
  for (let next = await reader?.read(); next?.done === false; next = await reader?.read()) {
    length += next.value.byteLength;
    if (length > limitBytes) {
      await reader?.cancel().catch(() => undefined);
      return null;
    }
    chunks.push(next.value);
  }
  return concatenate(chunks, length);
}

/** Chunks of a body as one; a single one is given back as it is. `length` is the sum of theirs, in bytes. */
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
