/**
 * Callers that close their side of a connection after the request (half-close, RFC 9112 section 9.6), such as `printf ... | nc`, still receive the response.
 * The network does not tell them from callers that are gone, so after a short time their requests end like those of callers that disconnected.
 */
import type { Server } from "node:http";
import type { Socket } from "node:net";

/** How long a caller that closed its side may wait for the response, in milliseconds. */
export const halfOpenMs = 2_000;

/** Lets callers of a server half-close their connections. */
export function allowHalfOpen(server: Server): void {
  // The property is missing in Node's documentation and types. Node, Bun and Deno read it; `node-http.test.ts` holds them to it.
  Object.assign(server, { httpAllowHalfOpen: true });
  server.on("connection", (socket: Socket) => {
    socket.once("end", () => {
      const timer = setTimeout(() => socket.destroy(), halfOpenMs);
      timer.unref();
      socket.once("close", () => clearTimeout(timer));
    });
  });
}
