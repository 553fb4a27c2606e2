import { systemClock } from "@letta-environments/platform/node";
import type { LogEvent } from "../../adapters/console-telemetry.ts";
import { createHttpUpstreamFetch } from "../../adapters/http-upstream-fetch.ts";
import { isSurelyUnsent } from "../../adapters/is-surely-unsent.ts";
import type { Settings } from "../../config/settings.ts";
import type { AdminPorts, FindDeviceId, KeyStore, UpstreamFetch } from "../../ports.ts";
import type { UpstreamConfig } from "../../proxy-config.ts";
import { createTenantAdmission } from "../../tenants/create-tenant-admission.ts";
import { findCredentialConflicts } from "../../tenants/find-new-sharing.ts";
import type { EmbeddedServer } from "./open-embedded-server.ts";
import { openCredentials } from "./open-credentials.ts";

/** What stands behind the proxy, ready to be called. It has nothing to close. */
export interface ComposedUpstream {
  readonly config: UpstreamConfig;
  readonly fetch: UpstreamFetch;
  readonly findDeviceId?: FindDeviceId;
  readonly findCredentialConflicts?: AdminPorts["findCredentialConflicts"];
}

/**
 * Prepares the calls to the embedded environment server, or to a server elsewhere.
 *
 * @throws CommandError when a credential cannot be read, or tenants share one without being held to devices.
 */
export async function composeUpstream(
  settings: Settings,
  keyStore: KeyStore,
  log: (event: LogEvent) => void,
  embedded: EmbeddedServer | null,
): Promise<ComposedUpstream> {
  const { upstream, tenants, jwt } = settings;
  if (embedded !== null) {
    return { config: { kind: "embedded" }, fetch: embedded.fetch, findDeviceId: embedded.findDeviceId };
  }
  if (upstream.kind !== "http") throw new TypeError("an upstream elsewhere needs its settings");
  const credentialOf = openCredentials(settings, await keyStore.list(), (tenant, cause) =>
    log({ type: "credential_file_failed", tenant, cause }),
  );
  const admitsTenant = createTenantAdmission({ clock: systemClock, keyStore, tenants, jwt, credentialOf });
  return {
    config: { kind: "http", credentialOf, admitsTenant },
    fetch: createHttpUpstreamFetch({ ...upstream, fetch: globalThis.fetch, isSurelyUnsent }),
    findCredentialConflicts: async (record) =>
      findCredentialConflicts({ tenants, jwt, credentialOf }, await keyStore.list(), record, systemClock.now()),
  };
}
