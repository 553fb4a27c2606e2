import { STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import type { PlainResponse } from "@letta-environments/schema";

/** Answers on a bare socket, where there is no `ServerResponse`, and closes it. */
export function writeRawResponse(socket: Duplex, response: PlainResponse): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const body = Buffer.from(response.body ?? "");
  const headers = { ...response.headers, connection: "close", "content-length": String(body.byteLength) };
  const head = [
    `HTTP/1.1 ${response.status} ${STATUS_CODES[response.status] ?? ""}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
  ].join("\r\n");
  socket.once("finish", () => socket.destroy());
  socket.end(Buffer.concat([Buffer.from(`${head}\r\n\r\n`), body]));
}
