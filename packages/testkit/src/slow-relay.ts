import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

/** A relay of bytes that makes a server on loopback slow. */
export interface SlowRelay {
  readonly port: number;
  /** Delay for bytes from the server from now on, in milliseconds. Initially 0. */
  delayMs: number;
  close(): Promise<void>;
}

/** Starts a {@link SlowRelay} on loopback. Bytes to the server are not delayed, and order is kept. */
export async function createSlowRelay(targetPort: number): Promise<SlowRelay> {
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const target = connect(targetPort, "127.0.0.1");
    client.pipe(target);
    let delivered: Promise<unknown> = Promise.resolve();
    target.on("data", (bytes) => {
      const due = delay(relay.delayMs);
      delivered = delivered.then(() => due).then(() => void (client.destroyed || client.write(bytes)));
    });
    for (const [socket, other] of [
      [client, target],
      [target, client],
    ] as const) {
      sockets.add(socket);
      socket.on("error", () => socket.destroy());
      socket.on("close", () => {
        sockets.delete(socket);
        other.destroy();
      });
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const relay: SlowRelay = {
    port: (server.address() as AddressInfo).port,
    delayMs: 0,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return relay;
}
