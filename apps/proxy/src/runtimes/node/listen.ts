import { once } from "node:events";
import type { Server } from "node:http";
import process from "node:process";
import { randomId } from "@letta-environments/platform/node";
import { problemResponse } from "@letta-environments/schema";
import type { LogEvent } from "../../adapters/log.ts";
import type { AdminSettings } from "../../admin/settings.ts";
import type { Pipeline } from "../../pipeline.ts";
import { createGateway } from "../../host/gateway.ts";
import { createHostRoutes } from "../../host/routes.ts";
import { type DrainingServer, trackServer } from "../../host/node/drain.ts";
import { createHttpServer, defaultServerTimeouts } from "../../host/node/http-server.ts";
import { nodeHost } from "../../host/node/request.ts";
import { serveWebSockets } from "../../host/node/web-sockets.ts";
import { finishResponse } from "../../http/response.ts";
import { CommandError } from "@letta-environments/command-line";

/**
 * Opens the server's port and resolves with the URL under which it is reached from this machine.
 *
 * @param setting names of the settings of host and port, for whoever has to change one.
 * @throws CommandError when the port cannot be opened.
 */
export async function listen(
  server: Server,
  host: string,
  port: number,
  setting = { host: "--host", port: "--port" },
): Promise<string> {
  server.listen(port, host);
  try {
    await once(server, "listening");
  } catch (cause) {
    throw new CommandError(describe(cause, host, port, setting), 1, { cause });
  }
  const address = server.address();
  return `http://${reachableHost(host)}:${typeof address === "object" ? (address?.port ?? port) : port}`;
}

/** A wildcard address is no address to connect to. */
function reachableHost(host: string): string {
  if (host === "0.0.0.0") return "127.0.0.1";
  if (host === "::") return "[::1]";
  return host.includes(":") ? `[${host}]` : host;
}

function describe(
  cause: unknown,
  host: string,
  port: number,
  setting: { readonly host: string; readonly port: string },
): string {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  if (code === "EADDRINUSE") return `Port ${port} of ${host} is taken; choose another one with ${setting.port}.`;
  if (code === "EACCES")
    return `Port ${port} may not be opened by this user; choose one above 1023 with ${setting.port}.`;
  if (code === "EADDRNOTAVAIL" || code === "ENOTFOUND")
    return `${host} is no address of this machine; see ${setting.host}.`;
  return `Cannot listen on ${host} port ${port} (${String(code ?? cause)}).`;
}

/** The longest time for requests in flight after the first signal, in milliseconds. */
const graceMs = 10_000;

/** Stops the process gracefully on SIGTERM or SIGINT, or when its terminal is closed; a second signal ends it at once. */
export function stopOnSignal(options: {
  readonly log: (event: LogEvent) => void;
  readonly stop: (graceMs: number) => Promise<void>;
}): void {
  let isStopping = false;
  const onSignal = (signal: NodeJS.Signals): void => {
    if (isStopping) process.exit(1);
    isStopping = true;
    options.log({ type: "stopping", signal });
    options.stop(graceMs).then(
      () => {
        options.log({ type: "stopped" });
        process.exit(0);
      },
      (cause: unknown) => {
        options.log({ type: "internal_error", requestId: "-", cause });
        process.exit(1);
      },
    );
  };
  process.on("SIGTERM", onSignal).on("SIGINT", onSignal);
  if (isInTerminal()) process.on("SIGHUP", onSignal);
}

/** Whether the process was started in a terminal, which sends SIGHUP when it is closed. */
export function isInTerminal(): boolean {
  return process.stdin.isTTY === true;
}

/** The administration listener, while it is open. */
export interface AdminListener {
  readonly url: string;
  readonly connections: DrainingServer;
}

/**
 * Opens the administration listener: keys and `/livez`, and no sockets.
 *
 * @throws CommandError when the port cannot be opened.
 */
export async function startAdminListener(
  { host, port }: AdminSettings,
  proxy: Pipeline,
  onFailure: (cause: unknown) => void,
): Promise<AdminListener> {
  const app = createGateway({ handle: proxy.handleAdmin }, { routes: createHostRoutes({ randomId }), ...nodeHost });
  const server = createHttpServer({ app, randomId, timeouts: defaultServerTimeouts, onFailure });
  const upgrade: Pipeline["upgrade"] = () =>
    Promise.resolve({ kind: "refused", response: finishResponse(noSocketHere, randomId("req"), "GET") });
  serveWebSockets(server, { upgrade }, onFailure);
  const connections = trackServer(server);
  return { url: await listen(server, host, port, { host: "admin.host", port: "admin.port" }), connections };
}

const noSocketHere = problemResponse("endpoint_not_found", { detail: "No WebSocket is served at this path." });
