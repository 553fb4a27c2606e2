/** Opens the listeners of the process: a port, the HTTP server behind it, and its WebSockets. */
import { once } from "node:events";
import type { Server } from "node:net";
import { CommandError } from "@letta-environments/command-line";
import { randomId } from "@letta-environments/platform/node";
import { errorCode } from "../../adapters/node/data-dir.ts";
import type { Admission } from "../../host/node/admission.ts";
import { type DrainingServer, trackServer } from "../../host/node/drain.ts";
import { createHttpServer, defaultServerTimeouts } from "../../host/node/http-server.ts";
import { createUpgradeListener } from "../../host/node/web-sockets.ts";
import type { HostRoute } from "../../host/gateway.ts";
import { reachableHost } from "../../lib/hosts.ts";
import type { Pipeline } from "../../pipeline.ts";

/** An open listener. */
export interface Listener {
  /** The URL under which this machine reaches the listener. */
  readonly url: string;
  /** The address on which it listens. */
  readonly host: string;
  readonly connections: DrainingServer;
}

/** The address of a listener, and the names of the settings that error messages refer to. */
export interface ListenAddress {
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  /** Default: `--host` and `--port`. */
  readonly setting?: { readonly host: string; readonly port: string } | undefined;
}

/** State that the listeners of a process share. */
export interface ListenerOptions {
  readonly admission: Admission;
  /** Receives failures that no response reports. */
  readonly onFailure: (cause: unknown) => void;
}

/**
 * Opens a listener that serves the routes and the pipeline.
 *
 * @throws CommandError if the port cannot be opened
 */
export async function openListener(
  address: ListenAddress,
  pipeline: Pick<Pipeline, "handle" | "upgrade" | "decorate" | "refuse">,
  routes: readonly HostRoute[],
  { admission, onFailure }: ListenerOptions,
): Promise<Listener> {
  const server = createHttpServer({
    pipeline,
    routes,
    randomId,
    timeouts: defaultServerTimeouts,
    admission,
    onFailure,
  });
  server.on("upgrade", createUpgradeListener(pipeline, { randomId, admission, onFailure }));
  const connections = trackServer(server);
  return { url: await listen(server, address), host: address.host, connections };
}

/**
 * Opens the port of a server and resolves with the URL under which this machine reaches it.
 *
 * @throws CommandError if the port cannot be opened
 */
export async function listen(server: Server, address: ListenAddress): Promise<string> {
  const { host, port } = address;
  server.listen(port, host);
  try {
    await once(server, "listening");
  } catch (cause) {
    throw new CommandError(describeFailure(cause, address), 1, { cause });
  }
  const bound = server.address();
  return `http://${reachableHost(host)}:${typeof bound === "object" ? (bound?.port ?? port) : port}`;
}

function describeFailure(
  cause: unknown,
  { host, port, setting = { host: "--host", port: "--port" } }: ListenAddress,
): string {
  const code = errorCode(cause);
  if (code === "EADDRINUSE") return `port ${port} of ${host} is taken; choose another one with ${setting.port}`;
  if (code === "EACCES") return `this user may not open port ${port}; choose one above 1023 with ${setting.port}`;
  if (code === "EADDRNOTAVAIL") return `${host} is not an address of this machine; see ${setting.host}`;
  if (code === "ENOTFOUND" || code === "EAI_AGAIN")
    return `${host} does not resolve to an address; see ${setting.host}`;
  return `cannot listen on ${host} port ${port} (${String(code ?? cause)})`;
}
