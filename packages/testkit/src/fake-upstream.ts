/** An HTTP server whose responses a test writes, in place of a remote environment server. It checks nothing itself. */
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";

/** A request that the fake upstream received. */
export interface SeenRequest {
  readonly method: string;
  /** The raw target: path and query. */
  readonly target: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

/** An HTTP server that plays the environment server of another vendor. */
export interface FakeUpstream {
  readonly url: string;
  readonly seen: readonly SeenRequest[];
  close(): Promise<void>;
}

/** Starts a fake upstream on loopback. `respond` writes each response, or leaves it open. */
export async function createFakeUpstream(
  respond: (request: SeenRequest, response: ServerResponse) => void,
): Promise<FakeUpstream> {
  const seen: SeenRequest[] = [];
  const server = createServer((incoming, response) => {
    const receive = (body: string): void => {
      const request = { method: incoming.method ?? "", target: incoming.url ?? "", headers: incoming.headers, body };
      seen.push(request);
      respond(request, response);
    };
    // A peer that goes away during its request has sent none. What `respond` throws fails the test.
    void text(incoming).then(receive, () => undefined);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    seen,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
