/**
 * The gateway of a process: the pipeline of the current settings over the open resources, the routes outside the API, and the listeners
 * in front of both. `letta-proxy start` and programs that contain the gateway compose it here; they differ in where settings come from, and
 * in who stops it.
 */
import { randomId, systemClock } from "@letta-environments/platform/node";
import { refused } from "@letta-environments/schema";
import type { LogEvent } from "../../adapters/log-event.ts";
import { loadDocsOnce } from "../../adapters/docs-pages.ts";
import { openConsoleFiles, readDocsPages } from "../../adapters/node/static-files.ts";
import type { ConsoleState } from "../../adapters/node/data-dir-lock.ts";
import { connectionCapacity } from "../../adapters/node/open-files.ts";
import { isShortPepper } from "../../adapters/node/pepper.ts";
import { loadOpenApi } from "../../adapters/open-api.ts";
import { namesGatewayKey } from "../../audit/search.ts";
import type { AdminSettings, Settings } from "../../config/settings.ts";
import { createConsoleRoutes } from "../../host/console-routes.ts";
import { createDocsRoutes } from "../../host/docs.ts";
import { createHostRoutes, type HostReporting } from "../../host/routes.ts";
import type { HostRoute } from "../../host/gateway.ts";
import { createAdmission } from "../../host/node/admission.ts";
import type { DrainingServer } from "../../host/node/drain.ts";
import { ignoreForwardedHeaders } from "../../http/gateway-request.ts";
import { noSocketHere } from "../../http/response.ts";
import { closeInOrder } from "../../lib/open-in-order.ts";
import { groupAddress } from "../../limits/client-address.ts";
import type { Pipeline } from "../../pipeline.ts";
import { composePipeline } from "../node/compose.ts";
import { type ListenAddress, type Listener, type ListenerOptions, openListener } from "../node/listen.ts";
import { composeMetrics, type ProcessMetrics } from "../node/metrics.ts";
import { openResources, type Resources } from "../node/resources.ts";
import { lacksCredential } from "../node/upstream.ts";

/** The gateway of a process, before anything listens. */
export interface GatewayInstance {
  /** Passes each request to the pipeline of the current settings. */
  readonly pipeline: Pipeline;
  readonly routes: readonly HostRoute[];
  readonly resources: Resources;
  /** Writes an event to the log, and counts it. */
  readonly log: (event: LogEvent) => void;
  /** Whether the web console is served, or would be if its files were there. */
  readonly console: ConsoleState;
  /** Composes the pipeline of other settings, which then handles every new request. */
  replace(settings: Settings): Promise<void>;
  /**
   * Opens the port of the settings, and that of the administration, if it has its own.
   *
   * @param names Names of the host and the port in error messages. Default: `--host` and `--port`.
   * @throws CommandError if a port cannot be opened. Then it can be called again.
   */
  listen(names?: ListenAddress["setting"]): Promise<Listeners>;
  /** Publishes the URL of the gateway to commands on this machine. `listen` does so itself. */
  announce(url: string): void;
  /** Makes `/readyz` fail, so that a load balancer sends no more requests. They are still accepted. */
  drain(): void;
  /**
   * Stops. Requests finish first, for at most `graceMs` milliseconds. Then calls that a remote upstream has not answered are ended. Devices are
   * disconnected later, because a send waits for its device's acknowledgement; sends that still wait then respond. Then everything is closed.
   */
  close(graceMs: number, servers: readonly DrainingServer[]): Promise<void>;
}

/** The open listeners. */
export interface Listeners {
  readonly main: Listener;
  /** `null` if the administration has no separate listener. */
  readonly admin: Listener | null;
}

/**
 * Opens the resources that the settings name, and composes the gateway over them. If that fails, everything is closed again.
 *
 * @param droppedLines counts the lines that the log has dropped, for the metrics
 * @throws CommandError if a resource cannot be opened
 */
export async function openInstance(
  initialSettings: Settings,
  report: (event: LogEvent) => void,
  droppedLines: () => number = () => 0,
): Promise<GatewayInstance> {
  let settings = initialSettings;
  const metrics = composeMetrics(settings, droppedLines);
  const log = withMetrics(report, metrics);
  const onFailure = (cause: unknown): void => log({ type: "internal_error", requestId: "-", cause });
  const resources = await openResources(() => settings, log, metrics);
  metrics?.begin(resources.embeddedCounts, log);
  warnOfKeys(settings, resources, log);
  let current = await composePipeline(settings, resources).catch(async (cause: unknown) => {
    await closeAll(resources, metrics);
    throw cause;
  });
  warnOfSettings(settings, log);
  const pipeline = followPipeline(() => current);
  let isDraining = false;
  const readFile = settings.console ? openConsoleFiles() : null;
  const reported: HostReporting = { ...reporting(log), addressOf: pipeline.addressOf };
  const routes = createHostRoutes({
    ...reported,
    isDraining: () => isDraining,
    readReadiness: resources.readReadiness,
    openApi: loadOpenApi,
    others: settings.console ? createConsoleRoutes({ handle: pipeline.handle, readFile }, reported) : [],
    pages: createDocsRoutes(loadDocsOnce(readDocsPages, onFailure)),
    root: { page: readFile === null ? "docs" : "console/", handle: pipeline.handle },
  });

  const consoleState = settings.console ? (readFile === null ? "not_built" : "served") : "off";
  const announce = (url: string): void => resources.announce({ url, console: consoleState });

  return {
    pipeline,
    routes,
    resources,
    log,
    console: consoleState,
    announce,
    async replace(next) {
      current = await composePipeline(next, resources);
      settings = next;
      warnOfSettings(settings, log);
    },
    async listen(setting) {
      const admission = createAdmission({
        clock: systemClock,
        maxConnections: connectionCapacity(settings.maxOpenFiles).inbound,
        onOverload: (overload) => log({ type: "overloaded", ...overload }),
      });
      const shared = { admission, onFailure };
      const admin = settings.admin && (await openAdminListener(settings.admin, pipeline, shared, log));
      const address = { host: settings.host, port: settings.port, setting };
      const main = await openListener(address, pipeline, routes, shared).catch(async (cause: unknown) => {
        await admin?.connections.close();
        throw cause;
      });
      announce(settings.publicUrl ?? main.url);
      if (admin !== null) log({ type: "admin_listening", url: admin.url, host: admin.host });
      log({ type: "listening", url: main.url, host: main.host });
      return { main, admin };
    },
    drain() {
      isDraining = true;
    },
    close: (graceMs, servers) =>
      keepAlive(async () => {
        isDraining = true;
        // Streams would keep their requests in progress for the whole grace period.
        resources.extensions?.end();
        await finishRequests(resources, servers, graceMs);
        if (resources.openCalls?.end() === true) await finishRequests(resources, servers, recordMs);
        await closeAll(resources, metrics, servers);
      }),
  };
}

/** Keeps the process alive until a step has ended: timers of the gateway do not, and a program may have nothing else that does. */
async function keepAlive(step: () => Promise<void>): Promise<void> {
  const timer = setInterval(() => undefined, 60_000);
  try {
    await step();
  } finally {
    clearInterval(timer);
  }
}

/** Waits for the requests in flight, and for what goes on without a caller. */
async function finishRequests(
  resources: Resources,
  servers: readonly DrainingServer[],
  graceMs: number,
): Promise<void> {
  const requests = servers.map((server) => server.finishRequests(graceMs));
  await Promise.all([...requests, resources.finishBackground(graceMs)]);
}

/**
 * How long requests that the stop has ended may take to be recorded and to respond, in milliseconds.
 * A repeat looks for the result of its send once a second.
 */
const recordMs = 1_500;

/** Closes everything once no request is in flight. */
async function closeAll(
  resources: Resources,
  metrics: ProcessMetrics | null,
  servers: readonly DrainingServer[] = [],
): Promise<void> {
  await closeInOrder([
    () => disconnectDevices(resources, servers),
    () => dropConnections(resources, servers),
    // The last reading, which is taken at once, has every request. A slow receiver takes no time from the rest.
    () => Promise.all([metrics?.end(), resources.close()]),
  ]);
}

/** Closes the sockets of devices, which ends the sends that wait for one, and waits until those have responded. */
async function disconnectDevices(resources: Resources, servers: readonly DrainingServer[]): Promise<void> {
  await resources.closeDevices();
  // With a remote upstream no device is connected here, so nothing waits for one.
  if (resources.embeddedCounts === null) return;
  await Promise.all(servers.map((server) => server.finishRequests(recordMs)));
}

/** Ends the connections, and waits for what that causes: a send whose body never arrived is refused, which belongs in the audit log. */
async function dropConnections(resources: Resources, servers: readonly DrainingServer[]): Promise<void> {
  await closeInOrder([
    () => Promise.all(servers.map((server) => server.close())),
    () => resources.finishBackground(recordMs),
  ]);
}

/** Warns of a short pepper that keys need, and of keys that are missing although the audit log names some. */
function warnOfKeys({ keyPepper }: Settings, { keys, auditTail }: Resources, log: (event: LogEvent) => void): void {
  if (keyPepper !== null && isShortPepper(keyPepper)) log({ type: "short_pepper" });
  if (keys.wasEmpty && auditTail !== null && namesGatewayKey(auditTail)) log({ type: "keys_missing" });
}

/** Warns that restrictions of keys are not enforced, and that no request has a credential for the upstream. */
function warnOfSettings(settings: Settings, log: (event: LogEvent) => void): void {
  const { shadow } = settings;
  if (lacksCredential(settings)) log({ type: "no_upstream_credential" });
  if (shadow !== null) log({ type: "shadow_mode", keyIds: [...shadow.keyIds], rules: [...shadow.rules] });
}

/** Returns a pipeline that passes each request to the one of the current settings. */
function followPipeline(current: () => Pipeline): Pipeline {
  return {
    handle: (request) => current().handle(request),
    handleAdmin: (request) => current().handleAdmin(request),
    upgrade: (request) => current().upgrade(request),
    decorate: (response, request) => current().decorate(response, request),
    refuse: (request, response) => current().refuse(request, response),
    addressOf: (request) => current().addressOf(request),
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
  { handleAdmin, refuse: refuseHere }: Pipeline,
  options: ListenerOptions,
  log: (event: LogEvent) => void,
): Promise<Listener> {
  const address = { host, port, setting: { host: "admin.host", port: "admin.port" } };
  const decorate: Pipeline["decorate"] = (response) => response;
  const refuse: Pipeline["refuse"] = (request, response) => refuseHere(ignoreForwardedHeaders(request), response);
  const upgrade: Pipeline["upgrade"] = (request) => refused(refuse(request, noSocketHere));
  const routes = createHostRoutes({
    ...reporting(log),
    // Nothing is in front of this listener: the peer is the client.
    addressOf: ({ clientAddress }) => groupAddress(clientAddress),
  });
  return openListener(address, { handle: handleAdmin, upgrade, decorate, refuse }, routes, options);
}

/** The ports that log the requests of routes outside the pipeline. */
function reporting(log: (event: LogEvent) => void): Pick<HostReporting, "clock" | "randomId" | "telemetry"> {
  return { clock: systemClock, randomId, telemetry: log };
}
