import { randomId } from "@letta-environments/platform/node";
import { problemResponse } from "@letta-environments/schema";
import { createHttpServer, defaultServerTimeouts } from "../../adapters/node/create-http-server.ts";
import { type DrainingServer, trackServer } from "../../adapters/node/drain-server.ts";
import { gatewayRequestOf, pathOf } from "../../adapters/node/gateway-request-of.ts";
import { writeResponse } from "../../adapters/node/write-response.ts";
import { serveWebSockets } from "../../adapters/node/web-socket-upgrades.ts";
import type { Proxy } from "../../app.ts";
import type { AdminSettings } from "../../admin/settings.ts";
import { finishResponse } from "../../finish-response.ts";
import { createHonoApp } from "../../hono/create-hono-app.ts";
import { listen } from "./listen.ts";

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
  proxy: Proxy,
  onFailure: (cause: unknown) => void,
): Promise<AdminListener> {
  const app = createHonoApp({
    proxy: { handle: proxy.handleAdmin },
    randomId,
    toGatewayRequest: gatewayRequestOf,
    toPath: pathOf,
    toResponse: (response, { env }) => writeResponse(response, env.outgoing),
    isDraining: null,
  });
  const server = createHttpServer({ app, randomId, timeouts: defaultServerTimeouts, onFailure });
  const upgrade: Proxy["upgrade"] = () =>
    Promise.resolve({ kind: "refused", response: finishResponse(noSocketHere, randomId("req"), "GET") });
  serveWebSockets(server, { upgrade }, onFailure);
  const connections = trackServer(server);
  return { url: await listen(server, host, port, { host: "admin.host", port: "admin.port" }), connections };
}

const noSocketHere = problemResponse("endpoint_not_found", { detail: "No WebSocket is served at this path." });
