/**
 * `conformance:serve --origin URL --port N`: runs the cache as a reverse proxy on loopback, for the suite's own command line.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import process from "node:process";
import { parseArgs } from "node:util";
import { createReverseProxy } from "./reverse-proxy.ts";

const { values } = parseArgs({ options: { origin: { type: "string" }, port: { type: "string" } } });
if (values.origin === undefined || values.port === undefined) throw new Error("--origin URL and --port N are required");
const port = Number(values.port);
const proxy = createReverseProxy(values.origin, globalThis.fetch);

async function toRequest(incoming: IncomingMessage, signal: AbortSignal): Promise<Request> {
  const headers = new Headers();
  for (let index = 0; index + 1 < incoming.rawHeaders.length; index += 2) {
    headers.append(incoming.rawHeaders[index] ?? "", incoming.rawHeaders[index + 1] ?? "");
  }
  const chunks: Uint8Array[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Uint8Array);
  const method = incoming.method ?? "GET";
  const hasBody = method !== "GET" && method !== "HEAD";
  const url = new URL(incoming.url ?? "/", `http://127.0.0.1:${port}`);
  return new Request(url, { method, headers, signal, body: hasBody ? Buffer.concat(chunks) : null });
}

async function respond(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  const client = new AbortController();
  outgoing.on("close", () => void (outgoing.writableFinished || client.abort()));
  const response = await proxy(await toRequest(incoming, client.signal));
  const body = Buffer.from(await response.arrayBuffer());
  const cookies = response.headers.getSetCookie();
  const fields = Object.fromEntries(response.headers);
  outgoing.writeHead(response.status, cookies.length === 0 ? fields : { ...fields, "set-cookie": cookies });
  outgoing.end(body);
}

createServer((incoming, outgoing) => {
  respond(incoming, outgoing).catch(() => outgoing.destroy());
}).listen(port, "127.0.0.1", () => process.stdout.write(`listening on http://127.0.0.1:${port}\n`));
