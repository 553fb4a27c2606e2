import { loadOpenApi } from "../../src/adapters/open-api.ts";
import type { Server } from "node:http";
import { randomId, systemClock } from "@letta-environments/platform/node";
import { createAdmission } from "../../src/host/node/admission.ts";
import { createHttpServer, defaultServerTimeouts } from "../../src/host/node/http-server.ts";
import { type DrainingServer, trackServer } from "../../src/host/node/drain.ts";
import { createUpgradeListener } from "../../src/host/node/web-sockets.ts";
import type { HostRoute } from "../../src/host/gateway.ts";
import { createHostRoutes } from "../../src/host/routes.ts";
import type { UpstreamFetch } from "../../src/ports.ts";
import { listen } from "../../src/runtimes/node/listen.ts";
import { createTestProxy, type TestProxy } from "./test-proxy.ts";

/** A proxy over fake ports behind Node's own HTTP server, on loopback. */
export interface NodeServerUnderTest extends TestProxy {
  readonly url: string;
  readonly server: Server;
  readonly connections: DrainingServer;
  readonly failures: unknown[];
  isDraining: boolean;
}

/** Starts a {@link NodeServerUnderTest} on a free port. */
export async function startNodeServer(
  upstream?: UpstreamFetch,
  options: {
    readonly timeouts?: Partial<typeof defaultServerTimeouts>;
    readonly routes?: readonly HostRoute[];
    readonly maxConnections?: number;
  } & NonNullable<Parameters<typeof createTestProxy>[1]> = {},
): Promise<NodeServerUnderTest> {
  const testProxy = createTestProxy(upstream, options);
  const failures: unknown[] = [];
  const hostRoutes = createHostRoutes({
    clock: systemClock,
    randomId,
    telemetry: (event) => void testProxy.events.push(event),
    addressOf: testProxy.proxy.addressOf,
    isDraining: () => underTest.isDraining,
    openApi: loadOpenApi,
  });
  const routes = [...hostRoutes, ...(options.routes ?? [])];
  const onFailure = (cause: unknown): void => void failures.push(cause);
  const { maxConnections = 1_000 } = options;
  const admission = createAdmission({ clock: systemClock, maxConnections, onOverload: () => undefined });
  const serverOptions = {
    pipeline: testProxy.proxy,
    routes,
    randomId,
    timeouts: { ...defaultServerTimeouts, ...options.timeouts },
    admission,
    onFailure,
  };
  const server = createHttpServer(serverOptions);
  server.on("upgrade", createUpgradeListener(testProxy.proxy, { randomId, admission, onFailure }));
  const connections = trackServer(server);
  const url = await listen(server, { host: "127.0.0.1", port: 0 });
  const underTest: NodeServerUnderTest = { ...testProxy, url, server, connections, failures, isDraining: false };
  return underTest;
}
