import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** A real HTTP server on loopback. */
export interface LoopbackServer {
  readonly url: string;
  /** Number of requests so far. */
  readonly requests: () => number;
  close(): Promise<void>;
}

/** Starts a server on a free port. */
export async function startLoopbackServer(
  respond: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<LoopbackServer> {
  let requests = 0;
  const server = createServer((request, response) => {
    requests += 1;
    respond(request, response);
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests: () => requests,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
