/** Servers and connections of one test, which are closed after it, and helpers that read what a connection reports. */
import { once } from "node:events";
import { type AddressInfo, connect as connectTo, createServer, type Socket } from "node:net";
import { inspect } from "node:util";
import { ValkeyError, type ValkeyConnection } from "@letta-environments/platform";
import { connectValkey } from "@letta-environments/platform/valkey";
import { afterEach } from "vitest";
import { type LaunchedValkey, launchValkey, type LaunchValkeyOptions } from "../../src/index.ts";

const closers: (() => Promise<void>)[] = [];

/** Closes with the test. */
export function closeAfterTest(close: () => Promise<void>): void {
  closers.push(close);
}

/** Closes everything after each test of the file. Called once, at the top of a file. */
export function closeAfterEachTest(): void {
  afterEach(async () => {
    for (const close of closers.splice(0).toReversed()) await close();
  });
}

export async function launch(options?: LaunchValkeyOptions): Promise<LaunchedValkey> {
  const server = await launchValkey(options);
  closeAfterTest(() => server.stop());
  return server;
}

/** A connection, and the failures that it has reported. */
export interface ReportingConnection {
  readonly valkey: ValkeyConnection;
  readonly failures: unknown[];
}

export function connect(url: string, timeoutMs = 2_000): ReportingConnection {
  const failures: unknown[] = [];
  const valkey = connectValkey(url, { timeoutMs, onFailure: (cause) => void failures.push(cause) });
  closeAfterTest(() => valkey.close());
  return { valkey, failures };
}

/** Sends commands until there is a response, at most for the time of a test. */
export async function untilResponding(valkey: ValkeyConnection, timeoutMs?: number): Promise<void> {
  for (;;) {
    try {
      await valkey.command(["PING"], timeoutMs === undefined ? {} : { timeoutMs });
      return;
    } catch {
      await new Promise((resolve) => void setTimeout(resolve, 10));
    }
  }
}

export async function failureOf(reply: Promise<unknown>): Promise<ValkeyError> {
  const failure = await reply.then(
    () => null,
    (cause: unknown) => cause,
  );
  if (!(failure instanceof ValkeyError)) throw new Error(`no ValkeyError: ${inspect(failure)}`);
  return failure;
}

/** An address behind which the server can be replaced, as a name whose DNS record changes. */
export interface MovableAddress {
  readonly url: string;
  readonly port: number;
  /** Number of connections so far. */
  readonly connected: number;
  /** Later connections lead to this port. Open ones stay. */
  lead(port: number): void;
  /** Closes all open connections with FIN. */
  cut(): void;
}

export async function createMovableAddress(initialPort: number): Promise<MovableAddress> {
  let target = initialPort;
  let connected = 0;
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    connected += 1;
    const upstream = connectTo(target, "127.0.0.1");
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from);
      from.on("error", () => to.destroy());
      from.on("close", () => {
        sockets.delete(from);
        to.end();
      });
      from.pipe(to);
    }
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  closeAfterTest(async () => {
    const closed = once(server, "close");
    server.close();
    for (const socket of sockets) socket.destroy();
    await closed;
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `valkey://127.0.0.1:${port}`,
    port,
    get connected() {
      return connected;
    },
    lead: (next) => void (target = next),
    cut() {
      for (const socket of sockets) socket.end();
    },
  };
}

/** Sends one command over its own connection, since those of the platform refuse replicas. Resolves once the server has confirmed it. */
export async function tell(port: number, command: string): Promise<void> {
  const socket = connectTo(port, "127.0.0.1");
  socket.write(`${command}\r\n`);
  const [reply] = await once(socket, "data");
  socket.destroy();
  if (!String(reply).startsWith("+OK")) throw new Error(`the server replied ${String(reply)}`);
}
