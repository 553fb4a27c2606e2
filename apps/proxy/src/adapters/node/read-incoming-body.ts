import type { IncomingMessage } from "node:http";

/**
 * Reads a body up to a limit. An announced length over the limit is refused unread; a body without one is counted as it
 * comes. What is left unread is for the server to drain.
 */
export function readIncomingBody(
  incoming: IncomingMessage,
  limitBytes: number,
): Promise<Uint8Array | null | "too_large" | "aborted"> {
  if (Number(incoming.headers["content-length"] ?? 0) > limitBytes) return Promise.resolve("too_large");
  if (incoming.destroyed && !incoming.readableEnded) return Promise.resolve("aborted");
  return new Promise((resolve) => {
    const chunks: Uint8Array[] = [];
    let length = 0;
    const finish = (result: Uint8Array | null | "too_large" | "aborted"): void => {
      incoming.off("data", onData).off("end", onEnd).off("close", onClose);
      resolve(result);
    };
    const onData = (chunk: Uint8Array): void => {
      length += chunk.byteLength;
      if (length > limitBytes) return finish("too_large");
      chunks.push(chunk);
    };
    const onEnd = (): void => finish(length === 0 ? null : Buffer.concat(chunks, length));
    const onClose = (): void => finish("aborted");
    // An aborted request emits an error too; without a listener it would end the process.
    incoming.on("error", onClose).on("data", onData).on("end", onEnd).on("close", onClose);
  });
}
