/** An upstream over HTTP that runs every message it receives, and counts them by id. Reads of `warm` wait for each other. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { environmentRow } from "../support/environment-row.ts";

/** See the description of this file. */
export interface CountingUpstream {
  readonly port: number;
  /** How often each message was received, by its id. */
  readonly deliveries: ReadonlyMap<string, number>;
  /** From now on, reads of the device `warm` get their responses together, when this many have arrived or after a while. */
  expectWarmReads(count: number): void;
  close(): Promise<void>;
}

/** The device of the upstream, and its connection. */
export const remoteRow = environmentRow("1", { deviceId: "box", connectionId: "conn-1" });

/** How long reads of `warm` wait for others, in milliseconds. */
const warmWaitMs = 400;

/** Starts a {@link CountingUpstream} on a free port. */
export async function createCountingUpstream(): Promise<CountingUpstream> {
  const deliveries = new Map<string, number>();
  const warm = createBarrier();

  async function respond(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await readBody(request);
    const path = request.url?.split("?")[0] ?? "";
    if (request.method === "POST") {
      const { messages } = JSON.parse(body) as { readonly messages: readonly { readonly client_message_id: string }[] };
      for (const { client_message_id: id } of messages) deliveries.set(id, (deliveries.get(id) ?? 0) + 1);
      return send(response, { success: true, message: "Message sent." });
    }
    if (path.endsWith("/warm")) await warm.wait();
    send(response, path === "/v1/environments" ? { connections: [remoteRow], hasNextPage: false } : remoteRow);
  }

  const server = createServer((request, response) => {
    respond(request, response).catch(() => response.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    deliveries,
    expectWarmReads: warm.expect,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function send(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(value));
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}

function createBarrier(): { expect(count: number): void; wait(): Promise<void> } {
  let missing = 0;
  let open: () => void = () => undefined;
  let opened = Promise.resolve();
  return {
    expect(count) {
      missing = count;
      opened = new Promise((resolve) => {
        open = resolve;
        setTimeout(resolve, warmWaitMs);
      });
    },
    wait() {
      missing -= 1;
      if (missing <= 0) open();
      return opened;
    },
  };
}
