import process from "node:process";
import { randomId, systemClock } from "@letta-environments/platform/node";
import { bufferLines } from "../../adapters/buffer-lines.ts";
import { createConsoleTelemetry } from "../../adapters/console-telemetry.ts";
import { loadOpenApi } from "../../adapters/load-open-api.ts";
import { createHttpServer, defaultServerTimeouts } from "../../adapters/node/create-http-server.ts";
import { trackServer } from "../../adapters/node/drain-server.ts";
import { gatewayRequestOf, pathOf } from "../../adapters/node/gateway-request-of.ts";
import { writeResponse } from "../../adapters/node/write-response.ts";
import { serveWebSockets } from "../../adapters/node/web-socket-upgrades.ts";
import type { Proxy } from "../../app.ts";
import type { ParsedLine } from "../../commands/program.ts";
import { createHonoApp } from "../../hono/create-hono-app.ts";
import { composeProxy } from "./compose-proxy.ts";
import { printNextSteps } from "./first-start.ts";
import { listen } from "./listen.ts";
import { loadSettings } from "./load-settings.ts";
import { openFoundations } from "./open-foundations.ts";
import { reloadOnChange } from "./reload-on-change.ts";
import { startAdminListener } from "./start-admin-listener.ts";
import { stopOnSignal } from "./stop-on-signal.ts";

/** `start`: composes the proxy on Node and serves until a signal. */
export async function startCommand(parsed: ParsedLine): Promise<void> {
  const changes = reloadOnChange(parsed);
  let settings = loadSettings(parsed);
  const output = bufferLines((text) => void process.stdout.write(text), setImmediate);
  const log = createConsoleTelemetry(settings.log, output.write, systemClock.now);
  process.once("exit", output.flush);
  // Whoever read the log may leave; the proxy stays.
  process.stdout.on("error", () => undefined);
  const onFailure = (cause: unknown): void => log({ type: "internal_error", requestId: "-", cause });
  const foundations = await openFoundations(() => settings, log);
  let current = await composeProxy(settings, foundations);
  const proxy: Proxy = {
    handle: (request) => current.handle(request),
    handleAdmin: (request) => current.handleAdmin(request),
    upgrade: (request) => current.upgrade(request),
  };
  let draining = false;
  const app = createHonoApp({
    proxy,
    randomId,
    toGatewayRequest: gatewayRequestOf,
    toPath: pathOf,
    toResponse: (response, { env }) => writeResponse(response, env.outgoing),
    isDraining: () => draining,
    openApi: loadOpenApi,
  });
  const server = createHttpServer({ app, randomId, timeouts: defaultServerTimeouts, onFailure });
  serveWebSockets(server, proxy, onFailure);
  const connections = trackServer(server);

  const { admin } = settings;
  const adminListener = admin === null ? null : await startAdminListener(admin, proxy, onFailure);
  const url = await listen(server, settings.host, settings.port).catch(async (cause: unknown) => {
    await adminListener?.connections.close();
    throw cause;
  });
  if (adminListener !== null) log({ type: "admin_listening", url: adminListener.url });
  log({ type: "listening", url });
  if (settings.log === "pretty") {
    output.flush();
    const { keys, keyStoreFor, deviceSockets } = foundations;
    await printNextSteps(keys, keyStoreFor, {
      url: settings.publicUrl ?? url,
      servesDevices: deviceSockets !== null,
      dataDir: settings.dataDir,
    });
  }
  changes.begin(
    settings,
    async (next) => {
      current = await composeProxy(next, foundations);
      settings = next;
    },
    log,
  );

  stopOnSignal({
    log,
    // What has begun is finished before devices are let go: a send waits for its device's word.
    async stop(graceMs) {
      draining = true;
      changes.end();
      await Promise.all([connections.finishRequests(graceMs), adminListener?.connections.finishRequests(graceMs)]);
      await foundations.closeDevices();
      await Promise.all([connections.close(), adminListener?.connections.close()]);
      await foundations.close();
    },
  });
}
