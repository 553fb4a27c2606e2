import { createEnvironmentServer } from "@letta-environments/environment-server";
import { createSqliteEnvironmentStore } from "@letta-environments/environment-server/sqlite";
import { randomId, sha256Hex, systemClock } from "@letta-environments/platform/node";
import type { LogEvent } from "../../adapters/console-telemetry.ts";
import { createEmbeddedUpstreamFetch } from "../../adapters/embedded-upstream-fetch.ts";
import { createHttpUpstreamFetch } from "../../adapters/http-upstream-fetch.ts";
import type { Settings } from "../../config/settings.ts";
import type { DeviceSockets, UpstreamFetch } from "../../ports.ts";
import type { UpstreamConfig } from "../../proxy-config.ts";
import { openDatabase } from "./open-database.ts";

/** What stands behind the proxy, ready to be called. */
export interface ComposedUpstream {
  readonly config: UpstreamConfig;
  readonly fetch: UpstreamFetch;
  readonly deviceSockets: DeviceSockets | null;
  close(): Promise<void>;
}

/** Starts the embedded environment server, or prepares the calls to a server elsewhere. */
export async function composeUpstream(settings: Settings, log: (event: LogEvent) => void): Promise<ComposedUpstream> {
  const { upstream } = settings;
  if (upstream.kind === "http") {
    return {
      config: { kind: "http", credential: upstream.credential },
      fetch: createHttpUpstreamFetch({ ...upstream, fetch: globalThis.fetch }),
      deviceSockets: null,
      close: () => Promise.resolve(),
    };
  }
  const database = await openDatabase(settings.dataDir, "environments.sqlite");
  const server = createEnvironmentServer({
    store: createSqliteEnvironmentStore(database),
    clock: systemClock,
    sha256: sha256Hex,
    randomId,
    podId: randomId("pod"),
    publicUrl: settings.publicUrl,
    onEvent: log,
  });
  return {
    config: { kind: "embedded" },
    fetch: createEmbeddedUpstreamFetch(server),
    deviceSockets: server,
    async close() {
      await server.close();
      database.close();
    },
  };
}
