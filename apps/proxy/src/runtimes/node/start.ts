import process from "node:process";
import { randomId, systemClock } from "@letta-environments/platform/node";
import { bufferLines, createConsoleTelemetry } from "../../adapters/log.ts";
import { loadOpenApi } from "../../adapters/open-api.ts";
import { createHttpServer, defaultServerTimeouts } from "../../host/node/http-server.ts";
import { trackServer } from "../../host/node/drain.ts";
import { nodeHost } from "../../host/node/request.ts";
import { serveWebSockets } from "../../host/node/web-sockets.ts";
import type { Pipeline } from "../../pipeline.ts";
import type { ParsedLine } from "../../commands/program.ts";
import { createGateway } from "../../host/gateway.ts";
import { createHostRoutes } from "../../host/routes.ts";
import { composePipeline } from "./compose.ts";
import { printNextSteps } from "./first-start.ts";
import { listen } from "./listen.ts";
import { loadSettings } from "./settings.ts";
import { openResources } from "./resources.ts";
import { reloadOnChange } from "./settings.ts";
import { startAdminListener } from "./listen.ts";
import { stopOnSignal } from "./listen.ts";

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
  const resources = await openResources(() => settings, log);
  let current = await composePipeline(settings, resources);
  const proxy: Pipeline = {
    handle: (request) => current.handle(request),
    handleAdmin: (request) => current.handleAdmin(request),
    upgrade: (request) => current.upgrade(request),
  };
  let draining = false;
  const routes = createHostRoutes({ randomId, isDraining: () => draining, openApi: loadOpenApi });
  const app = createGateway(proxy, { routes, ...nodeHost });
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
    const { keys, keyStoreFor, deviceSockets } = resources;
    await printNextSteps(keys, keyStoreFor, {
      url: settings.publicUrl ?? url,
      servesDevices: deviceSockets !== null,
      dataDir: settings.dataDir,
    });
  }
  changes.begin(
    settings,
    async (next) => {
      current = await composePipeline(next, resources);
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
      await resources.closeDevices();
      await Promise.all([connections.close(), adminListener?.connections.close()]);
      await resources.close();
    },
  });
}
