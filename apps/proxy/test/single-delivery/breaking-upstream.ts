/** An upstream that receives a whole POST and then breaks the connection, as a server does that crashes after it has acted. */
import { once } from "node:events";
import { createServer, type Socket } from "node:net";

/** How the connection ends after a POST: `reset` sends RST, `close` sends FIN. */
export type Ending = "reset" | "close";

/** A message that reached the upstream. */
export interface ReceivedMessage {
  readonly body: string;
  /** Whether the connection had carried an earlier request. Runtimes repeat requests on such connections only. */
  readonly onReusedConnection: boolean;
}

/** A {@link createBreakingUpstream} that accepts requests. */
export interface BreakingUpstream {
  readonly origin: string;
  readonly received: readonly ReceivedMessage[];
  close(): void;
}

/** Starts the upstream on a free port. A GET gets `200 {}` and leaves the connection open. */
export async function createBreakingUpstream(ending: Ending): Promise<BreakingUpstream> {
  const received: ReceivedMessage[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    let text = "";
    let requestCount = 0;
    socket.on("error", () => undefined);
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1");
      for (let next = readRequest(text); next !== null; next = readRequest(text)) {
        text = text.slice(next.length);
        requestCount += 1;
        if (next.method === "GET") {
          socket.write("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}");
          continue;
        }
        received.push({ body: next.body, onReusedConnection: requestCount > 1 });
        if (ending === "reset") socket.resetAndDestroy();
        else socket.end();
      }
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new TypeError("the upstream has no port");
  return {
    origin: `http://127.0.0.1:${address.port}`,
    received,
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** The first complete request of a text; `null` while more of it is to come. Bodies are short, so a chunked one is a single chunk. */
function readRequest(text: string): { readonly method: string; readonly body: string; readonly length: number } | null {
  const headEnd = text.indexOf("\r\n\r\n");
  if (headEnd === -1) return null;
  const head = text.slice(0, headEnd);
  const rest = text.slice(headEnd + 4);
  const [method = ""] = head.split(" ", 1);
  if (/^transfer-encoding: *chunked/im.test(head)) {
    const chunked = /^[0-9a-f]+\r\n(.*)\r\n0\r\n\r\n/is.exec(rest);
    return chunked === null ? null : { method, body: chunked[1] ?? "", length: headEnd + 4 + chunked[0].length };
  }
  const length = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);
  return rest.length < length ? null : { method, body: rest.slice(0, length), length: headEnd + 4 + length };
}
