import { readStream } from "./read-stream.ts";

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
  try {
    const bytes = await readStream(body, limitBytes);
    if (bytes === null) return "too_large";
    return bytes.byteLength === 0 ? null : bytes;
  } catch {
    return "aborted";
  }
}
