/** The borders of HTTP/1.1 messages in a stream of bytes (RFC 9112 section 6), as far as a relay needs them. */

/** A complete message. */
export interface HttpMessage {
  readonly bytes: Buffer;
  /** Length of the start line and the fields, including the empty line after them. */
  readonly headLength: number;
  /** Start line and fields. */
  readonly head: string;
  readonly body: string;
}

/**
 * Reads the first message of a buffer; `null` while it is incomplete. Informational responses other than 101 belong to the
 * message after them.
 */
export function readHttpMessage(buffer: Buffer): HttpMessage | null {
  let start = 0;
  for (;;) {
    const end = buffer.indexOf("\r\n\r\n", start);
    if (end === -1) return null;
    const head = buffer.toString("latin1", start, end);
    const headEnd = end + 4;
    if (/^HTTP\/1\.1 1(?!01)/.test(head)) {
      start = headEnd;
      continue;
    }
    const bodyLength = readBodyLength(head, buffer.subarray(headEnd));
    if (bodyLength === null || buffer.length < headEnd + bodyLength) return null;
    const length = headEnd + bodyLength;
    const body = buffer.toString("utf8", headEnd, length);
    return { bytes: buffer.subarray(0, length), headLength: headEnd, head, body };
  }
}

/** Length of a body on the wire; `null` while it is incomplete. */
function readBodyLength(head: string, rest: Buffer): number | null {
  if (/^transfer-encoding: *chunked/im.test(head)) {
    const end = rest.indexOf("0\r\n\r\n");
    const isAtChunk = end === 0 || rest.subarray(end - 2, end).equals(lineEnd);
    return end === -1 || !isAtChunk ? null : end + 5;
  }
  return Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);
}

const lineEnd = Buffer.from("\r\n");
