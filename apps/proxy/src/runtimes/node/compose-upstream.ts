import { createEnvironmentServer } from "@letta-environments/environment-server";
import { createSqliteEnvironmentStore } from "@letta-environments/environment-server/sqlite";
import { randomId, sha256Hex, systemClock } from "@letta-environments/platform/node";
import type { LogEvent } from "../../adapters/console-telemetry.ts";
import { createEmbeddedUpstreamFetch } from "../../adapters/embedded-upstream-fetch.ts";
import { createHttpUpstreamFetch } from "../../adapters/http-upstream-fetch.ts";
import type { EnvironmentCache } from "../../cache/environment-cache.ts";
import type { Settings } from "../../config/settings.ts";
import type { WatchedSockets } from "../../keys/watch-socket-keys.ts";
import type { AdminPorts, FindDeviceId, KeyStore, UpstreamFetch } from "../../ports.ts";
import type { UpstreamConfig } from "../../proxy-config.ts";
import { createTenantAdmission } from "../../tenants/create-tenant-admission.ts";
import { findNewSharing } from "../../tenants/find-new-sharing.ts";
import { openCredentials } from "./open-credentials.ts";
import { openDatabase } from "./open-database.ts";

/** What stands behind the proxy, ready to be called. */
export interface ComposedUpstream {
  readonly config: UpstreamConfig;
  readonly fetch: UpstreamFetch;
  readonly deviceSockets: WatchedSockets | null;
  readonly findDeviceId?: FindDeviceId;
  readonly findNewSharing?: AdminPorts["findNewSharing"];
  close(): Promise<void>;
}

/** Starts the embedded environment server, or prepares the calls to a server elsewhere. */
export async function composeUpstream(
  settings: Settings,
  keyStore: KeyStore,
  log: (event: LogEvent) => void,
  environmentCache: EnvironmentCache | null,
): Promise<ComposedUpstream> {
  const { upstream, tenants, jwt } = settings;
  if (upstream.kind === "http") {
    const credentialOf = openCredentials(settings, await keyStore.list(), (tenant, cause) =>
      log({ type: "credential_file_failed", tenant, cause }),
    );
    const admitsTenant = createTenantAdmission({ clock: systemClock, keyStore, tenants, jwt, credentialOf });
    return {
      config: { kind: "http", credentialOf, admitsTenant },
      fetch: createHttpUpstreamFetch({ ...upstream, fetch: globalThis.fetch }),
      deviceSockets: null,
      findNewSharing: async (record) =>
        findNewSharing({ tenants, jwt, credentialOf }, await keyStore.list(), record, systemClock.now()),
      close: () => Promise.resolve(),
    };
  }
  const database = await openDatabase(settings.dataDir, "environments.sqlite");
  const store = createSqliteEnvironmentStore(database);
  const server = createEnvironmentServer({
    store,
    clock: systemClock,
    sha256: sha256Hex,
    randomId,
    podId: randomId("pod"),
    publicUrl: settings.publicUrl,
    onEvent(event) {
      log(event);
      // A heartbeat alone is none of these.
      if (changesRow.has(event.type) && "deviceId" in event) {
        void environmentCache?.invalidate(event.tenant, { deviceId: event.deviceId });
      }
    },
  });
  return {
    config: { kind: "embedded" },
    fetch: createEmbeddedUpstreamFetch(server),
    deviceSockets: server,
    findDeviceId: async (tenant, connectionId) =>
      (await store.findConnection(tenant, connectionId))?.environment.deviceId ?? null,
    async close() {
      await server.close();
      database.close();
    },
  };
}

/** Events of the embedded server after which a row is shown differently. */
const changesRow: ReadonlySet<string> = new Set([
  "device_registered",
  "device_connected",
  "device_disconnected",
  "device_changed",
]);
