/** A TCP proxy in which a command stays on its way after its connection is lost, as in the buffers of a kernel or of a load balancer. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** A proxy on loopback that passes on every byte until it holds a command. */
export interface HoldingProxy {
  readonly port: number;
  /** Holds what clients send from now on. Closes a client's connection once the held bytes contain this text. Later connections are not held. */
  hold(text: string): void;
  /** Lets everything held arrive. Resolves when the server has executed it. */
  deliver(): Promise<void>;
  close(): Promise<void>;
}

/** Starts a {@link HoldingProxy} in front of a port on loopback. */
export async function createHoldingProxy(targetPort: number): Promise<HoldingProxy> {
  interface Pair {
    readonly client: Socket;
    readonly target: Socket;
    /** `null` while bytes are passed on. */
    held: { readonly text: string; readonly chunks: Buffer[] } | null;
  }
  const pairs = new Set<Pair>();
  const server = createServer((client) => {
    const pair: Pair = { client, target: connect(targetPort, "127.0.0.1"), held: null };
    const { target } = pair;
    pairs.add(pair);
    for (const socket of [client, target]) socket.on("error", () => socket.destroy());
    target.on("data", (bytes) => void (client.writable && client.write(bytes)));
    target.on("close", () => {
      pairs.delete(pair);
      client.destroy();
    });
    client.on("close", () => {
      if (pair.held === null) target.destroy();
    });
    client.on("data", (bytes: Buffer) => {
      if (pair.held === null) return void target.write(bytes);
      pair.held.chunks.push(bytes);
      if (Buffer.concat(pair.held.chunks).includes(pair.held.text)) client.destroy();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    hold(text) {
      for (const pair of pairs) pair.held = { text, chunks: [] };
    },
    async deliver() {
      const holding = [...pairs].filter(({ held }) => held !== null);
      await Promise.all(
        holding.map(async ({ target, held }) => {
          const closed = new Promise((resolve) => target.once("close", resolve));
          // The server executes what it has received before it notices the end.
          target.end(Buffer.concat(held?.chunks ?? []));
          await closed;
        }),
      );
    },
    async close() {
      for (const { client, target } of pairs) for (const socket of [client, target]) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
