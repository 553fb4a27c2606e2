import { systemClock } from "@letta-environments/platform/node";
import type { LogEvent } from "../../adapters/log.ts";
import { auditKeyStore } from "../../audit/key-changes.ts";
import type { OpenAuditLog } from "../../audit/log.ts";
import type { JwtSettings } from "../../auth/jwt-settings.ts";
import type { TokenAuthenticator } from "../../auth/jwt.ts";
import type { Settings } from "../../config/settings.ts";
import { createKeyUses, type KeyUses } from "../../keys/key-uses.ts";
import { rootCauseMessage } from "../../keys/key-store-outages.ts";
import { reportOutages } from "../../keys/key-store-outages.ts";
import { watchSocketKeys } from "../../keys/socket-key-watch.ts";
import type { KeyStore, KeyStoreFor } from "../../ports.ts";
import type { DeviceSockets } from "../../ports.ts";
import { lockDataDir } from "./data-dir.ts";
import { openAudit } from "./open-audit.ts";
import { openTokenAuthenticator } from "./open-credentials.ts";
import { type EmbeddedServer, openEmbeddedServer } from "./open-embedded-server.ts";
import { openEnvironmentCache, type OpenEnvironmentCache } from "./open-environment-cache.ts";
import { openKeys, type OpenKeys } from "./open-keys.ts";
import { openRateLimits, type OpenRateLimits } from "./open-rate-limits.ts";

/** What a start opens and the process keeps until it stops, whatever is reloaded meanwhile. */
export interface Resources {
  readonly keys: OpenKeys;
  /** The keys, with outages told. */
  readonly keyStore: KeyStore;
  readonly keyStoreFor: KeyStoreFor;
  readonly keyUses: KeyUses;
  readonly audit: OpenAuditLog;
  readonly rateLimits: OpenRateLimits;
  readonly environmentCache: Pick<OpenEnvironmentCache, "cacheFor">;
  /** What judges tokens, while their settings stay the same. */
  readonly tokenAuthenticatorFor: (settings: JwtSettings) => TokenAuthenticator;
  /** `null` where the upstream is elsewhere. */
  readonly embedded: EmbeddedServer | null;
  /** The sockets of the embedded server, held to their keys. */
  readonly deviceSockets: DeviceSockets | null;
  readonly log: (event: LogEvent) => void;
  /** Lets devices go, once no request is under way. */
  closeDevices(): Promise<void>;
  /** Closes everything else, and tells where the audit log ends. */
  close(): Promise<void>;
}

/**
 * Opens what the settings name: data directory, keys, audit log, limits, cache, and the embedded server.
 *
 * @param settings those in force now, also after a reload
 * @throws CommandError when something cannot be opened.
 */
export async function openResources(settings: () => Settings, log: (event: LogEvent) => void): Promise<Resources> {
  const started = settings();
  const isEmbedded = started.upstream.kind === "embedded";
  const onFailure = (cause: unknown): void => log({ type: "internal_error", requestId: "-", cause });
  const onKeyStoreFailure = (cause: unknown): void =>
    log({ type: "key_store_failed", requestId: "-", reason: rootCauseMessage(cause) });
  const lock = isEmbedded ? await lockDataDir(started.dataDir) : null;
  const keys = await openKeys(started, {
    onFailure: onKeyStoreFailure,
    onDamaged: (keyId) => log({ type: "key_record_damaged", keyId }),
  });
  const audit = await openAudit(started, keys.pepper);
  const rateLimits = await openRateLimits(started, log);
  const keyStore = reportOutages(keys.keyStore, log);
  const kept = await openEnvironmentCache(started, log);
  const embedded = isEmbedded ? await openEmbeddedServer(started, log, kept.cacheFor(started)) : null;
  const keyUses = createKeyUses({ clock: systemClock, keyStore, onFailure: onKeyStoreFailure });
  return {
    keys,
    keyStore,
    keyStoreFor: (actor) => auditKeyStore(keyStore, audit, actor, onFailure),
    keyUses,
    audit,
    rateLimits,
    environmentCache: kept,
    tokenAuthenticatorFor: openTokenAuthenticator(log),
    embedded,
    deviceSockets:
      embedded &&
      watchSocketKeys(embedded.deviceSockets, {
        clock: systemClock,
        keyStore,
        tenants: () => settings().tenants,
        onFailure: onKeyStoreFailure,
      }),
    log,
    async closeDevices() {
      await embedded?.close();
    },
    async close() {
      await keyUses.flush();
      await audit.close().catch(onFailure);
      const { writer, sequence, hash } = audit.end();
      log({ type: "audit_end", writer, sequence, hash });
      rateLimits.close();
      kept.close();
      keys.close();
      lock?.release();
    },
  };
}
