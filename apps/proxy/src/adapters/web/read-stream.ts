import { concatenate } from "./concatenate.ts";

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
