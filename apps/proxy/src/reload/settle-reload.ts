import type { SettingProblem } from "../lib/setting-problem.ts";
import type { Settings } from "../config/settings.ts";
import { isSameValue } from "./is-same-value.ts";

/** What becomes of settings that were read while the gateway runs. */
export type SettledReload =
  | {
      readonly kind: "settled";
      /** What holds from now on: the new settings, but for those that only a start can change. */
      readonly settings: Settings;
      /** Names of the settings that change now. */
      readonly changed: readonly string[];
      /** Names of the settings that differ and stay as they are until the next start. */
      readonly awaitingRestart: readonly string[];
    }
  /** The whole of it must wait for a start: a part of it would be another configuration than anybody wrote. */
  | { readonly kind: "refused"; readonly problems: readonly SettingProblem[] };

/** Settings that a running gateway takes up, by the names under which the file has them. */
const live = {
  "upstream.url": ({ upstream }) => (upstream.kind === "http" ? upstream.baseUrl : null),
  "upstream.maxResponseBytes": ({ upstream }) => (upstream.kind === "http" ? upstream.maxResponseBytes : null),
  "upstream.timeoutMs": ({ upstreamTimeoutMs }) => upstreamTimeoutMs,
  "auth.jwt": ({ jwt }) => jwt,
  "auth.passThrough": ({ passThrough }) => passThrough,
  tenants: ({ tenants }) => tenants,
  "cors.origins": ({ corsOrigins }) => corsOrigins,
  "audit.content": ({ auditContent }) => auditContent,
  rateLimits: ({ rateLimits }) => ({ ...rateLimits, store: null }),
  "cache.statusFor": ({ cache }) => cache?.statusFor,
  "admin.hostnames": ({ admin }) => admin?.hostnames,
} satisfies Record<string, (settings: Settings) => unknown>;

/** Settings that are built into what a start opens: sockets, files, stores. */
const fixed = {
  host: ({ host }) => host,
  port: ({ port }) => port,
  publicUrl: ({ publicUrl }) => publicUrl,
  dataDir: ({ dataDir }) => dataDir,
  log: ({ log }) => log,
  "rateLimits.store": ({ rateLimits }) => rateLimits.store,
  "cache.enabled": ({ cache }) => cache !== null,
  "cache.store": ({ cache }) => cache?.store,
  "cache.maxBytes": ({ cache }) => cache?.maxBytes,
  "cache.maxEntries": ({ cache }) => cache?.maxEntries,
  "admin.port": ({ admin }) => admin?.port,
  "admin.host": ({ admin }) => admin?.host,
} satisfies Record<string, (settings: Settings) => unknown>;

/**
 * Decides what a running gateway takes up of settings that were read again. What is bound to a socket, a file or a store keeps its value
 * until the next start and is named; everything else holds at once.
 */
export function settleReload(current: Settings, next: Settings): SettledReload {
  if (current.upstream.kind !== next.upstream.kind) {
    const rule = "cannot change between the embedded environment server and another one without a restart";
    return { kind: "refused", problems: [{ setting: "upstream.url", rule }] };
  }
  const settings: Settings = {
    ...next,
    host: current.host,
    port: current.port,
    publicUrl: current.publicUrl,
    dataDir: current.dataDir,
    log: current.log,
    // Of the environment, which does not change under a running process.
    keyPepper: current.keyPepper,
    valkeyUrl: current.valkeyUrl,
    rateLimits: { ...next.rateLimits, store: current.rateLimits.store },
    cache: current.cache && { ...current.cache, statusFor: next.cache?.statusFor ?? current.cache.statusFor },
    admin: current.admin && { ...current.admin, hostnames: next.admin?.hostnames ?? current.admin.hostnames },
  };
  return {
    kind: "settled",
    settings,
    changed: differences(live, current, settings),
    awaitingRestart: differences(fixed, current, next),
  };
}

function differences(
  members: Readonly<Record<string, (settings: Settings) => unknown>>,
  left: Settings,
  right: Settings,
): readonly string[] {
  return Object.entries(members)
    .filter(([, read]) => !isSameValue(read(left), read(right)))
    .map(([name]) => name);
}
