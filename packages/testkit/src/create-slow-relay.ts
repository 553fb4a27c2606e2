import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

/** A relay of bytes in front of a server on loopback that is to seem slow. */
export interface SlowRelay {
  readonly port: number;
  /** By how many milliseconds everything that the server says from now on is held back; at first 0. */
  delayMs: number;
  close(): Promise<void>;
}

/** Starts a {@link SlowRelay} on loopback. What it is told goes on to the server at once; nothing is reordered. */
export async function createSlowRelay(targetPort: number): Promise<SlowRelay> {
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const target = connect(targetPort, "127.0.0.1");
    client.pipe(target);
    let said: Promise<unknown> = Promise.resolve();
    target.on("data", (bytes) => {
      const due = delay(relay.delayMs);
      said = said.then(() => due).then(() => void (client.destroyed || client.write(bytes)));
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
