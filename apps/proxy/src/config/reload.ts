import { isSameValue } from "../lib/same-value.ts";
import type { SettingProblem } from "../lib/setting-problem.ts";
import type { ResolvedSettings } from "./resolve.ts";
import type { Settings } from "./settings.ts";

/** What a reload came to. */
export type ReloadEvent =
  | {
      /** What was read holds from now on; `awaitingRestart` names what differs and holds from the next start. */
      readonly type: "configuration_reloaded";
      readonly changed: readonly string[];
      readonly awaitingRestart: readonly string[];
    }
  | {
      /** What was read cannot be used: the gateway goes on with what it had. Values are not repeated. */
      readonly type: "configuration_refused";
      readonly problems: readonly string[];
    };

/** What a {@link Reloader} works with. */
export interface ReloaderOptions {
  /** With what the gateway was started. */
  readonly settings: Settings;
  /** Reads the settings anew; throws what `describe` knows when they cannot be read. */
  readonly read: () => ResolvedSettings;
  /** Puts settings into force, wholly or not at all: when it rejects, what was in force before still is. */
  readonly apply: (settings: Settings) => Promise<void>;
  /** The public text of a failure to read or to apply. */
  readonly describe: (cause: unknown) => string;
  readonly report: (event: ReloadEvent) => void;
}

/** Takes up changed settings while the gateway runs. */
export interface Reloader {
  /** Reads the settings and puts them into force. Never rejects. A call during a reload brings one more behind it. */
  reload(): Promise<void>;
}

/** Creates a {@link Reloader}. One reload runs at a time, and the last one has seen what was there at the last call. */
export function createReloader({ settings, read, apply, describe, report }: ReloaderOptions): Reloader {
  let current = settings;
  let running: Promise<void> | null = null;
  let isAskedAgain = false;

  async function reloadOnce(): Promise<void> {
    const resolved = read();
    if (!resolved.ok) return refuse(resolved.problems.map(({ setting, rule }) => `${setting} ${rule}`));
    const settled = settleReload(current, resolved.settings);
    if (settled.kind === "refused") return refuse(settled.problems.map(({ setting, rule }) => `${setting} ${rule}`));
    const { changed, awaitingRestart } = settled;
    if (changed.length > 0) {
      await apply(settled.settings);
      current = settled.settings;
    }
    report({ type: "configuration_reloaded", changed, awaitingRestart });
  }

  function refuse(problems: readonly string[]): void {
    report({ type: "configuration_refused", problems });
  }

  async function run(): Promise<void> {
    do {
      isAskedAgain = false;
      await reloadOnce().catch((cause: unknown) => refuse([describe(cause)]));
    } while (isAskedAgain);
    running = null;
  }

  return {
    reload() {
      isAskedAgain = true;
      running ??= run();
      return running;
    },
  };
}

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
