import { STATUS_CODES } from "node:http";
import type { PlainResponse } from "@letta-environments/schema";

/** Up to this size a body becomes a part of the text. Beyond it, copying the body costs more than a second buffer in the system call. */
const maxTextBytes = 4_096;

/** Characters that `node:http` refuses in the value of a field, so that no value can end its line. */
const invalidValue = /[^\t\x20-\x7e\x80-\xff]/;

let date = "";

/** The present date as HTTP writes it, computed once in a second. */
function currentDate(): string {
  if (date === "") {
    const now = new Date();
    date = now.toUTCString();
    setTimeout(() => (date = ""), 1_000 - now.getMilliseconds()).unref();
  }
  return date;
}

/** Returns a response as `node:http` would write it: a text in Latin-1, with the bytes of a large body beside it. Throws a TypeError if a field has an invalid value. */
export type ResponseText = (
  response: PlainResponse,
  request: { readonly method: string; readonly shouldKeepAlive: boolean },
) => string | readonly [head: string, body: Buffer];

/** Creates a {@link ResponseText} for connections that stay open between requests for a time, in milliseconds. */
export function createResponseText(keepAliveMs: number): ResponseText {
  const kept = `Connection: keep-alive\r\nKeep-Alive: timeout=${Math.floor(keepAliveMs / 1_000)}\r\n\r\n`;

  return ({ status, headers, body }, { method, shouldKeepAlive }) => {
    let head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? "unknown"}\r\n`;
    for (const name in headers) {
      const value = headers[name];
      if (value === undefined) continue;
      if (invalidValue.test(value)) throw new TypeError(`The value of ${name} is not valid in a header.`);
      head += `${name}: ${value}\r\n`;
    }
    const bytes = body === null ? null : asBuffer(body);
    if (bytes !== null) head += `content-length: ${bytes.byteLength}\r\n`;
    // A cached response has the date of its origin.
    if (headers["date"] === undefined) head += `Date: ${currentDate()}\r\n`;
    head += shouldKeepAlive ? kept : "Connection: close\r\n\r\n";
    if (bytes === null || method === "HEAD" || status === 304 || status === 204) return head;
    if (bytes.byteLength <= maxTextBytes) return head + bytes.toString("latin1");
    return [head, bytes];
  };
}

function asBuffer(body: string | Uint8Array): Buffer {
  if (typeof body === "string") return Buffer.from(body);
  return body instanceof Buffer ? body : Buffer.from(body.buffer, body.byteOffset, body.byteLength);
}
