/**
 * Runs the cache as a reverse proxy with the server and the `fetch` of its runtime, and prints the port. It runs in each runtime.
 *
 *     uploads.ts ORIGIN
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import process from "node:process";
import { Readable } from "node:stream";
import { createReverseProxy } from "../conformance/reverse-proxy.ts";

type Handler = (request: Request) => Promise<Response>;
interface Runtimes {
  readonly Bun?: { serve(options: { port: number; hostname: string; fetch: Handler }): { readonly port: number } };
  readonly Deno?: { serve(options: object, handler: Handler): { readonly addr: { readonly port: number } } };
}

const [, , origin = ""] = process.argv;
const { Bun, Deno } = globalThis as Runtimes;
const proxy = createReverseProxy(origin, globalThis.fetch);
const hostname = "127.0.0.1";

async function respond(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  const { method, headers } = incoming;
  // Even an empty body is a stream, as from other adapters.
  const body = Readable.toWeb(incoming);
  const init = { method, headers: headers as Record<string, string>, body, duplex: "half" } as RequestInit;
  const response = await proxy(new Request(new URL(incoming.url ?? "/", "http://127.0.0.1"), init));
  outgoing.writeHead(response.status).end();
}

async function serve(): Promise<number> {
  if (Bun !== undefined) return Bun.serve({ port: 0, hostname, fetch: proxy }).port;
  if (Deno !== undefined) return Deno.serve({ port: 0, hostname, onListen: () => undefined }, proxy).addr.port;
  const server = createServer((incoming, outgoing) => void respond(incoming, outgoing));
  await new Promise<void>((resolve) => void server.listen(0, hostname, resolve));
  return (server.address() as AddressInfo).port;
}

process.stdout.write(`${await serve()}\n`);
