import { concatenate } from "./concatenate.ts";

/**
 * Reads the body of a web request up to a limit. An announced length over the limit is refused unread; a body without one is counted as it
 * comes, and given up once it is too long.
 */
export async function readWebBody(
  { body, headers }: { readonly body: ReadableStream<Uint8Array> | null; readonly headers: Pick<Headers, "get"> },
  limitBytes: number,
): Promise<Uint8Array | null | "too_large" | "aborted"> {
  if (body === null) return null;
  if (Number(headers.get("content-length") ?? 0) > limitBytes) {
    await body.cancel().catch(() => undefined);
    return "too_large";
  }
  const chunks: Uint8Array[] = [];
  let length = 0;
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      length += value.byteLength;
      if (length > limitBytes) {
        await reader.cancel().catch(() => undefined);
        return "too_large";
      }
      chunks.push(value);
    }
  } catch {
    return "aborted";
  }
  return length === 0 ? null : concatenate(chunks, length);
}
