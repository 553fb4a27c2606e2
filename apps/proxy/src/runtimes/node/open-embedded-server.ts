import { createEnvironmentServer } from "@letta-environments/environment-server";
import { createSqliteEnvironmentStore } from "@letta-environments/environment-server/sqlite";
import { randomId, sha256Hex, systemClock } from "@letta-environments/platform/node";
import type { LogEvent } from "../../adapters/log.ts";
import type { EnvironmentCache } from "../../cache/environment-cache.ts";
import type { Settings } from "../../config/settings.ts";
import type { WatchedSockets } from "../../keys/socket-key-watch.ts";
import type { EmbeddedServer as EmbeddedServerPort } from "../../ports.ts";
import { openStore } from "./data-dir.ts";

/** The environment server of this process. It stays the same for as long as the process runs. */
export interface EmbeddedServer {
  readonly server: EmbeddedServerPort;
  readonly deviceSockets: WatchedSockets;
  close(): Promise<void>;
}

/**
 * Starts the embedded environment server over its rows in the data directory.
 *
 * @throws CommandError when they cannot be opened.
 */
export async function openEmbeddedServer(
  settings: Pick<Settings, "dataDir" | "publicUrl">,
  log: (event: LogEvent) => void,
  environmentCache: EnvironmentCache | null,
): Promise<EmbeddedServer> {
  const { store, database } = await openStore(settings.dataDir, "environments.sqlite", createSqliteEnvironmentStore);
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
    server,
    deviceSockets: server,
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
