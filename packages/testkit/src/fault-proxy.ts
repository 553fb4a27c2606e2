/**
 * A TCP proxy on loopback that breaks HTTP exchanges at a chosen point, in a chosen way, or makes a server slow. Without
 * `chooseFault` it passes on bytes of any protocol.
 */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { type HttpMessage, readHttpMessage } from "./http-messages.ts";

/**
 * Where an exchange breaks. `before_head`: the server receives nothing. `in_head`: it receives half of the head. `after_request`: it
 * has received all and has responded, and the client receives nothing. `in_response`: the client receives half of the response.
 * `after_response`: the client receives all of it.
 */
export type FaultPoint = "before_head" | "in_head" | "after_request" | "in_response" | "after_response";

/** Every {@link FaultPoint}. */
export const faultPoints: readonly FaultPoint[] = [
  "before_head",
  "in_head",
  "after_request",
  "in_response",
  "after_response",
];

/** How it breaks, on both sides: with RST, with FIN, or silently, with no more bytes passed on. */
export type FaultEffect = "reset" | "close" | "stall";

/** Every {@link FaultEffect}. */
export const faultEffects: readonly FaultEffect[] = ["reset", "close", "stall"];

/** A fault of one exchange. */
export interface Fault {
  readonly point: FaultPoint;
  readonly effect: FaultEffect;
}

/** A request on its way through the proxy. */
export interface ProxiedRequest extends Pick<HttpMessage, "head" | "body"> {
  /** The connection has carried an earlier request. */
  readonly isReused: boolean;
}

/** A running proxy that breaks exchanges. */
export interface FaultProxy {
  readonly port: number;
  readonly url: string;
  /** Delay for bytes from the server from now on, in milliseconds. Initially 0. */
  delayMs: number;
  /** Open connections of clients. */
  readonly connectionCount: number;
  /** Closes the connections of all clients with FIN, and resolves when none is left. */
  closeConnections(): Promise<void>;
  close(): Promise<void>;
}

/** Chooses the fault of each HTTP request; `null` breaks nothing. */
export type ChooseFault = (request: ProxiedRequest) => Fault | null;

/** Starts a {@link FaultProxy} in front of a port on loopback. */
export async function createFaultProxy(targetPort: number, chooseFault?: ChooseFault): Promise<FaultProxy> {
  const pairs = new Set<Pair>();
  const server = createServer((client) => {
    const target = connect(targetPort, "127.0.0.1");
    const pair: Pair = { client, target };
    pairs.add(pair);
    for (const [socket, other] of [
      [client, target],
      [target, client],
    ] as const) {
      socket.setNoDelay(true);
      socket.on("error", () => socket.destroy());
      socket.on("close", () => {
        other.destroy();
        if (client.destroyed && target.destroyed) pairs.delete(pair);
      });
    }
    if (chooseFault === undefined) passBytes(pair, () => proxy.delayMs);
    else void passExchanges(pair, chooseFault, () => proxy.delayMs).catch(() => destroy(pair));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const proxy: FaultProxy = {
    port,
    url: `http://127.0.0.1:${port}`,
    delayMs: 0,
    get connectionCount() {
      return pairs.size;
    },
    async closeConnections() {
      const closed = [...pairs].flatMap(({ client, target }) =>
        // A reset also closes a connection, but Node's `once` would reject for it.
        [client, target]
          .filter((socket) => !socket.destroyed)
          .map((socket) => new Promise((resolve) => socket.once("close", resolve))),
      );
      for (const { client } of pairs) client.end();
      await Promise.all(closed);
    },
    async close() {
      for (const pair of pairs) destroy(pair);
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return proxy;
}

interface Pair {
  readonly client: Socket;
  readonly target: Socket;
}

function destroy({ client, target }: Pair): void {
  client.destroy();
  target.destroy();
}

/** Passes on every byte, in order. Bytes to the server are not delayed. */
function passBytes({ client, target }: Pair, delayMs: () => number): void {
  client.pipe(target);
  let delivered: Promise<unknown> = Promise.resolve();
  target.on("data", (bytes) => {
    const due = delay(delayMs());
    delivered = delivered.then(() => due).then(() => void (client.writable && client.write(bytes)));
  });
}

/** Passes on one exchange after the other, until a fault, the end of the connection, or a change of the protocol. */
async function passExchanges(pair: Pair, chooseFault: ChooseFault, delayMs: () => number): Promise<void> {
  const { client, target } = pair;
  const requests = createReader(client);
  const responses = createReader(target);
  for (let count = 0; ; count++) {
    const request = await requests.next();
    if (request === null) return void target.end();
    const fault = chooseFault({ head: request.head, body: request.body, isReused: count > 0 });
    if (fault?.point === "before_head") return strike(pair, fault.effect);
    if (fault?.point === "in_head") {
      await write(target, request.bytes.subarray(0, Math.floor(request.headLength / 2)));
      return strike(pair, fault.effect);
    }
    await write(target, request.bytes);
    const response = await responses.next();
    if (response === null) return void client.end();
    if (delayMs() > 0) await delay(delayMs());
    if (fault?.point === "after_request") return strike(pair, fault.effect);
    if (fault?.point === "in_response") {
      await write(client, response.bytes.subarray(0, Math.floor(response.bytes.length / 2)));
      return strike(pair, fault.effect);
    }
    await write(client, response.bytes);
    if (fault?.point === "after_response") return strike(pair, fault.effect);
    if (!response.head.startsWith("HTTP/1.1 101")) continue;
    client.write(responses.release());
    target.write(requests.release());
    return passBytes(pair, delayMs);
  }
}

/** Breaks both connections. A stalled one ends when a peer ends it. */
function strike({ client, target }: Pair, effect: FaultEffect): void {
  for (const socket of [client, target]) {
    if (effect === "reset") socket.resetAndDestroy();
    if (effect === "close") socket.end();
    // From now on only the end is read.
    socket.removeAllListeners("data");
    socket.resume();
  }
}

async function write(socket: Socket, bytes: Buffer): Promise<void> {
  await new Promise((resolve) => void socket.write(bytes, resolve));
}

interface Reader {
  /** The next complete message; `null` when the connection ends before it. */
  next(): Promise<HttpMessage | null>;
  /** Stops reading messages, and returns the bytes that belong to none. */
  release(): Buffer;
}

function createReader(socket: Socket): Reader {
  let buffer = Buffer.alloc(0);
  let isEnded = false;
  let wake: () => void = () => undefined;
  const onData = (bytes: Buffer): void => {
    buffer = Buffer.concat([buffer, bytes]);
    wake();
  };
  const onEnd = (): void => {
    isEnded = true;
    wake();
  };
  socket.on("data", onData).on("end", onEnd).on("close", onEnd);
  return {
    async next() {
      for (;;) {
        const message = readHttpMessage(buffer);
        if (message !== null) {
          buffer = buffer.subarray(message.bytes.length);
          return message;
        }
        if (isEnded) return null;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
    release() {
      socket.off("data", onData);
      return buffer;
    },
  };
}
