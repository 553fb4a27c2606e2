/** The command `start`: opens the resources, composes the gateway, and serves until a signal. */
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { randomId, systemClock } from "@letta-environments/platform/node";
import { problemResponse } from "@letta-environments/schema";
import { createConsoleFiles, findConsoleFolder } from "../../adapters/node/console-files.ts";
import { isShortPepper } from "../../adapters/node/pepper.ts";
import type { LogEvent } from "../../adapters/log-event.ts";
import { bufferLines, createConsoleTelemetry } from "../../adapters/log.ts";
import { createLoadDocs } from "../../adapters/node/docs-pages.ts";
import { filterByLevel } from "../../adapters/log-level.ts";
import { openFileLimit } from "../../adapters/node/open-files.ts";
import { loadOpenApi } from "../../adapters/open-api.ts";
import type { AdminSettings } from "../../admin/settings.ts";
import type { ParsedLine } from "../../commands/program.ts";
import type { Settings } from "../../config/settings.ts";
import { createAdmission } from "../../host/node/admission.ts";
import { divideOpenFiles } from "../../host/node/capacity.ts";
import { createConsoleRoutes } from "../../host/console-routes.ts";
import { createDocsRoutes } from "../../host/docs.ts";
import { createHostRoutes } from "../../host/routes.ts";
import { finishResponse } from "../../http/response.ts";
import type { Pipeline } from "../../pipeline.ts";
import { composePipeline } from "./compose.ts";
import { printNextSteps } from "./first-start.ts";
import { type Listener, type ListenerOptions, openListener } from "./listen.ts";
import { composeMetrics, type ProcessMetrics } from "./observation/metrics.ts";
import { openResources } from "./resources.ts";
import { loadSettings, watchSettings } from "./settings.ts";
import { stopOnSignal } from "./shutdown.ts";

/** Runs `start`. Resolves when the gateway listens. */
export async function startCommand(parsed: ParsedLine): Promise<void> {
  const changes = watchSettings(parsed);
  let settings = loadSettings(parsed);
  const output = openOutput();
  const metrics = composeMetrics(settings);
  const log = withMetrics(openLog(settings, output.write), metrics);
  const onFailure = (cause: unknown): void => log({ type: "internal_error", requestId: "-", cause });
  const resources = await openResources(() => settings, log, metrics);
  metrics?.begin(resources.embeddedCounts, log);
  if (settings.keyPepper !== null && isShortPepper(settings.keyPepper)) log({ type: "short_pepper" });
  let current = await composePipeline(settings, resources);
  const pipeline = followPipeline(() => current);
  let isDraining = false;
  const consoleFolder = settings.console ? findConsoleFolder() : null;
  const routes = createHostRoutes({
    randomId,
    isDraining: () => isDraining,
    readReadiness: resources.readReadiness,
    openApi: loadOpenApi,
    ...(consoleFolder !== null && {
      others: createConsoleRoutes({ handle: pipeline.handle, readFile: createConsoleFiles(consoleFolder) }, randomId),
    }),
    pages: createDocsRoutes(createLoadDocs(onFailure)),
  });

  const { admin } = settings;
  const admission = createAdmission({
    clock: systemClock,
    maxConnections: divideOpenFiles(settings.maxOpenFiles ?? openFileLimit()).inbound,
    onOverload: (report) => log({ type: "overloaded", ...report }),
  });
  const shared = { admission, onFailure };
  const adminListener = admin && (await openAdminListener(admin, pipeline, shared));
  const listener = await openListener(settings, pipeline, routes, shared).catch(async (cause: unknown) => {
    await adminListener?.connections.close();
    throw cause;
  });
  if (adminListener !== null) log({ type: "admin_listening", url: adminListener.url });
  log({ type: "listening", url: listener.url });
  if (settings.log === "pretty") {
    output.flush();
    const { keys, keyStoreFor, deviceSockets } = resources;
    await printNextSteps(keys, keyStoreFor, {
      url: settings.publicUrl ?? listener.url,
      servesDevices: deviceSockets !== null,
      dataDir: settings.dataDir,
      console: settings.console ? (consoleFolder === null ? "not_built" : "served") : "off",
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
    // Requests finish before the device sockets close, because a send waits for its device's acknowledgement.
    async stop(graceMs, signal) {
      isDraining = true;
      changes.end();
      // A load balancer learns from /readyz that it must not send requests here any more, while they are still accepted.
      if (signal === "SIGTERM") await delay(settings.readinessDelayMs);
      // Streams would keep their requests in progress for the whole time.
      resources.extensions.end();
      const listeners = [listener, ...(adminListener === null ? [] : [adminListener])];
      const requests = listeners.map(({ connections }) => connections.finishRequests(graceMs));
      await Promise.all([...requests, resources.finishBackground(graceMs)]);
      await resources.closeDevices();
      await metrics?.end();
      await Promise.all(listeners.map(({ connections }) => connections.close()));
      await resources.close();
    },
  });
}

/** Opens standard output for the log. */
function openOutput(): ReturnType<typeof bufferLines> {
  const output = bufferLines((text) => void process.stdout.write(text), setImmediate);
  process.once("exit", output.flush);
  // The gateway keeps running when nobody reads its log any more.
  process.stdout.on("error", () => undefined);
  return output;
}

/** Opens the log that the settings describe. */
function openLog({ log, logLevel }: Settings, write: (line: string) => void): (event: LogEvent) => void {
  return filterByLevel(logLevel, createConsoleTelemetry(log, write, systemClock.now));
}

/** Returns a pipeline that passes each request to the one of the current settings. */
function followPipeline(current: () => Pipeline): Pipeline {
  return {
    handle: (request) => current().handle(request),
    handleAdmin: (request) => current().handleAdmin(request),
    upgrade: (request) => current().upgrade(request),
    decorate: (response, request) => current().decorate(response, request),
  };
}

/** Returns a function that writes an event to the log and counts it. */
function withMetrics(
  log: (event: LogEvent) => void,
  metrics: Pick<ProcessMetrics, "record"> | null,
): (event: LogEvent) => void {
  if (metrics === null) return log;
  return (event) => {
    log(event);
    metrics.record(event);
  };
}

/** Opens the administration listener, which serves the administration and `/livez`, and no WebSockets. */
function openAdminListener(
  { host, port }: AdminSettings,
  { handleAdmin }: Pipeline,
  options: ListenerOptions,
): Promise<Listener> {
  const address = { host, port, setting: { host: "admin.host", port: "admin.port" } };
  const upgrade: Pipeline["upgrade"] = () => ({
    kind: "refused",
    response: finishResponse(noSocketHere, randomId("req"), "GET"),
  });
  const decorate: Pipeline["decorate"] = (response) => response;
  return openListener(address, { handle: handleAdmin, upgrade, decorate }, createHostRoutes({ randomId }), options);
}

const noSocketHere = problemResponse("endpoint_not_found", { detail: "No WebSocket is served at this path." });
