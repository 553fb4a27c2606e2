import type { Deadline } from "./deadline.ts";

/**
 * Reads a whole body of at most `maxBytes` bytes; `null` when it is larger. The rest is then not read.
 * Rejects when the connection breaks or the call has to end.
 */
export async function readBody(response: Response, maxBytes: number, deadline: Deadline): Promise<Uint8Array | null> {
  if (response.body === null) return new Uint8Array();
  const reader = response.body.getReader();
  const chunks: Uint8Array[] = [];
  let size = 0;
  let complete = false;
  try {
    for (;;) {
      const { done, value } = await deadline.race(reader.read());
      if (done) break;
      size += value.byteLength;
      if (size > maxBytes) return null;
      chunks.push(value);
    }
    complete = true;
    return concatenate(chunks, size);
  } finally {
    // Lets go of the connection; a stream that already failed has nothing to cancel.
    if (!complete) reader.cancel().catch(() => undefined);
  }
}

function concatenate(chunks: readonly Uint8Array[], size: number): Uint8Array {
  const [first] = chunks;
  if (chunks.length === 1 && first !== undefined) return first;
  const bytes = new Uint8Array(size);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return bytes;
}
