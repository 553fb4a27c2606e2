const headEnd = Buffer.from("\r\n\r\n");
const lastChunk = Buffer.from("\r\n0\r\n\r\n");

/**
 * Where the first response in the bytes ends; `null` while it is incomplete. Knows what the servers under test send: a length, or
 * chunks without trailers.
 *
 * @throws Error for any status but 200.
 */
export function endOfResponse(bytes: Buffer): number | null {
  const headLength = bytes.indexOf(headEnd);
  if (headLength === -1) return null;
  const head = bytes.toString("latin1", 0, headLength);
  if (!head.startsWith("HTTP/1.1 200 ")) throw new Error(`The server responded with ${head.slice(0, 40)}`);
  const bodyStart = headLength + headEnd.length;
  const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
  if (length !== undefined) {
    const end = bodyStart + Number(length);
    return bytes.length < end ? null : end;
  }
  if (!/\r\ntransfer-encoding: *chunked/i.test(head)) throw new Error("The response has neither a length nor chunks.");
  const last = bytes.indexOf(lastChunk, bodyStart);
  return last === -1 ? null : last + lastChunk.length;
}
