/** Connects the gateway to its upstream: the embedded environment server, or a remote server with the credentials of tenants. */
import { CommandError } from "@letta-environments/command-line";
import { systemClock } from "@letta-environments/platform/node";
import { createUpstreamPool } from "#upstream-pool";
import type { LogEvent } from "../../adapters/log-event.ts";
import { connectionCapacity } from "../../adapters/node/open-files.ts";
import { watchCredentialFiles } from "../../adapters/node/watched-files.ts";
import type { OpenCalls } from "../../adapters/open-calls.ts";
import type { ShadowedDevices } from "../../auth/shadow.ts";
import type { Settings } from "../../config/settings.ts";
import type { IdempotencyStore } from "../../idempotency/store.ts";
import type { Unreleased } from "../../idempotency/unreleased.ts";
import type { KeySummary } from "../../keys/key-record.ts";
import type { SettingProblem } from "../../lib/setting-rules.ts";
import type { DevicesFor, EmbeddedServer, KeyStore, KeyStoreFor } from "../../ports.ts";
import type { AdminServices } from "../../admin/handler.ts";
import {
  createTenantAdmission,
  findCredentialConflicts,
  findSharedCredentials,
  liveTenants,
  refuseSharedChanges,
  type TenantCredential,
  tenantCredentials,
} from "../../tenants/credentials.ts";
import type { CredentialOf } from "../../tenants/settings.ts";
import type { Telemetry } from "../../telemetry.ts";
import { embedServer } from "../../upstream/embedded.ts";
import type { UpstreamServer } from "../../upstream/settings.ts";
import type { PipelineMetrics } from "./metrics.ts";

/** The open resources that an upstream uses. */
export interface UpstreamResources {
  /** The store of the keys, which also logs its outages. */
  readonly keyStore: KeyStore;
  /** `null` if keys are not administered over HTTP. */
  readonly keyStoreFor: KeyStoreFor | null;
  readonly log: (event: LogEvent) => void;
  /** `null` if the upstream is remote. */
  readonly embedded: (EmbeddedServer & ShadowedDevices) | null;
  /** `null` if the upstream is remote. */
  readonly devicesFor: DevicesFor | null;
  /** `null` if the upstream is embedded. */
  readonly idempotencyStore: IdempotencyStore | null;
  /** Undelivered sends whose ids are still in that store. Absent where the settings are never reloaded. */
  readonly unreleased?: Unreleased | undefined;
  /** Calls that a stop ends. Absent where nothing is stopped. */
  readonly openCalls?: OpenCalls | undefined;
  /** Whether `idempotencyStore` is lost when the process ends. */
  readonly isStoreVolatile: boolean;
  /** `null` if nothing is counted. */
  readonly metrics: Pick<PipelineMetrics, "observeUpstream"> | null;
}

/**
 * Composes the upstream: the embedded environment server if there is one, else the remote server of the settings.
 *
 * @throws CommandError if a credential cannot be read, or tenants that share one have no device allowlists
 */
export async function composeUpstream(
  settings: Settings,
  resources: UpstreamResources,
): Promise<{ readonly server: UpstreamServer } & Pick<AdminServices, "findCredentialConflicts">> {
  const { keyStore, embedded, idempotencyStore, unreleased, isStoreVolatile, metrics } = resources;
  const { upstream, tenants, jwt } = settings;
  if (embedded !== null) return { server: embedServer(embedded, resources) };
  if (upstream.kind !== "http" || idempotencyStore === null) {
    throw new TypeError("a remote upstream needs its settings and a store of sends");
  }
  const { upstream: maxConcurrent } = connectionCapacity(settings.maxOpenFiles);
  const credentialOf = openCredentials(settings, await keyStore.summarize(systemClock.now()), resources.log, keyStore);
  const pool = createUpstreamPool({ ...upstream, maxConnections: maxConcurrent });
  const fetchUpstream = resources.openCalls?.follow(pool) ?? pool;
  const admitsTenant = createTenantAdmission({ clock: systemClock, keyStore, tenants, jwt, credentialOf });
  return {
    server: {
      kind: "remote",
      fetch: metrics?.observeUpstream(fetchUpstream) ?? fetchUpstream,
      maxConcurrent,
      idempotencyStore,
      unreleased,
      isStoreVolatile,
      credentialOf,
      admitsTenant,
    },
    findCredentialConflicts: (record) =>
      findCredentialConflicts({ tenants, jwt, credentialOf }, keyStore, record, systemClock.now()),
  };
}

/**
 * Reads the tenants' credentials for a remote upstream, and ensures that no two tenants see each other's devices, also after a change of a file.
 *
 * @param keyStore for the tenants that have keys at such a change. Default: those of `summary`.
 * @throws CommandError if a file cannot be used, or tenants that share a credential have no device allowlists
 */
export function openCredentials(
  { upstream, tenants, jwt }: Settings,
  summary: Pick<KeySummary, "live">,
  telemetry: Telemetry,
  keyStore: Pick<KeyStore, "summarize" | "generation"> | null = null,
): CredentialOf {
  const defaultCredential = upstream.kind === "http" ? upstream.credential : null;
  const listTenants = (present: Pick<KeySummary, "live">, inUse: CredentialOf): readonly TenantCredential[] =>
    tenantCredentials(tenants, jwt, liveTenants(present), inUse);
  const credentialOf = watchCredentialFiles({
    tenants,
    defaultCredential,
    clock: systemClock,
    telemetry,
    keyGeneration: () => keyStore?.generation() ?? 0,
    async prepareCheck() {
      const present = (await keyStore?.summarize(systemClock.now())) ?? summary;
      return (changed, inUse) => refuseSharedChanges(listTenants(present, inUse), changed);
    },
  });
  const problems = findSharedCredentials(listTenants(summary, credentialOf));
  if (problems.length > 0) throw sharedCredentials(problems);
  return credentialOf;
}

/** Whether no request has a credential for the upstream. That is right only if the upstream needs none. */
export function lacksCredential({ upstream, tenants, passThrough }: Settings): boolean {
  if (upstream.kind !== "http" || upstream.credential !== null || passThrough) return false;
  return [...tenants.values()].every(({ credential }) => credential === null);
}

/** Describes tenants that would see each other's devices. */
export function sharedCredentials(problems: readonly SettingProblem[]): CommandError {
  return new CommandError(problems.map(({ setting, rule }) => `${setting} ${rule}`).join("\n"));
}
