import type { Socket } from "node:net";
import type { Clock } from "@letta-environments/platform";

/** Maximum number of refused connections at a time: a quarter of the files that `capacity.ts` reserves. */
const maxRefused = 16;

/** How long the first request of a refused connection may take to arrive, in milliseconds. */
const headMs = 1_000;

/** Connections over the limit, which are kept only for the response to their first request. */
export interface RefusedConnections {
  /**
   * Keeps a connection until its first request, or for a second. If 16 others wait already, the oldest of them that has sent nothing is closed,
   * because each is an open file. If all of them have sent something, this one is closed.
   */
  add(socket: Socket): void;
  /** Whether the connection of a request is refused. The wait for its request ends with this call. */
  has(socket: Socket | undefined): boolean;
}

/** Creates {@link RefusedConnections}. */
export function createRefusedConnections({ setTimer }: Pick<Clock, "setTimer">): RefusedConnections {
  const endWaits = new Map<Socket, () => void>();
  return {
    add(socket) {
      if (endWaits.size >= maxRefused) {
        const silent = [...endWaits.keys()].find(({ bytesRead }) => bytesRead === 0);
        if (silent === undefined) return void socket.destroy();
        endWaits.get(silent)?.();
        endWaits.delete(silent);
        silent.destroy();
      }
      const endWait = setTimer(headMs, () => socket.destroy());
      endWaits.set(socket, endWait);
      socket.once("close", () => {
        endWait();
        endWaits.delete(socket);
      });
    },
    has(socket) {
      const endWait = socket && endWaits.get(socket);
      endWait?.();
      return endWait !== undefined;
    },
  };
}
