import { randomBytes } from "node:crypto";
import { systemClock } from "@letta-environments/platform/node";
import type { LogEvent } from "../../adapters/console-telemetry.ts";
import { createMemoryKeyStore } from "../../adapters/memory/key-store.ts";
import { loadPepper } from "../../adapters/node/load-pepper.ts";
import type { Proxy } from "../../app.ts";
import type { Settings } from "../../config/settings.ts";
import { createKeyUses } from "../../keys/key-uses.ts";
import { KeyStoreUnavailableError, reportOutages, rootCauseMessage } from "../../keys/key-store-outages.ts";
import type { KeyStore } from "../../ports.ts";
import { CommandError } from "../node/command-error.ts";
import { composeProxy } from "../node/compose-proxy.ts";
import { openEnvironmentCache } from "../node/open-environment-cache.ts";
import { openKeyStore } from "../node/open-key-store.ts";
import { openTokenWay } from "../node/open-token-way.ts";
import { openRateLimits } from "../node/open-rate-limits.ts";

/**
 * Opens the stores of a fetch handler and composes the pipeline over them. Keys are in Valkey or nowhere: without it callers come with tokens or
 * with keys of their own. Nothing is written to a disk, so there is no audit log, and keys are not administered here.
 */
export async function openFetchProxy(settings: Settings, log: (event: LogEvent) => void): Promise<Proxy> {
  const onFailure = (cause: unknown): void =>
    log({ type: "key_store_failed", requestId: "-", reason: rootCauseMessage(cause) });
  const keyStore = reportOutages(await openKeys(settings, log, onFailure), log);
  const pepper = loadPepper("", settings.keyPepper ?? randomBytes(32).toString("hex"), false);
  return composeProxy(settings, {
    keys: { pepper },
    keyStore,
    keyStoreFor: null,
    keyUses: createKeyUses({ clock: systemClock, keyStore, onFailure }),
    audit: null,
    rateLimits: await openRateLimits(settings, log),
    environmentCache: await openEnvironmentCache(settings, log),
    tokenWayFor: openTokenWay(log),
    embedded: null,
    deviceSockets: null,
    log,
  });
}

async function openKeys(
  settings: Settings,
  log: (event: LogEvent) => void,
  onFailure: (cause: unknown) => void,
): Promise<KeyStore> {
  if (settings.valkeyUrl === null) return createMemoryKeyStore();
  const onDamaged = (keyId: string): void => log({ type: "key_record_damaged", keyId });
  try {
    return (await openKeyStore(settings, { onFailure, onDamaged })).keyStore;
  } catch (cause) {
    // Callers are told that they may come again; the words are for whoever starts a process.
    throw cause instanceof CommandError && cause.cause instanceof KeyStoreUnavailableError ? cause.cause : cause;
  }
}
