/** Applies changed settings while the gateway runs: decides which of them take effect now, and applies them all or none. */
import type { Clock } from "@letta-environments/platform";
import { isDeepEqual } from "../lib/deep-equal.ts";
import type { SettingProblem } from "../lib/setting-rules.ts";
import type { ResolvedSettings } from "./resolve.ts";
import type { Settings } from "./settings.ts";

/** The result of a reload. */
export type ReloadEvent =
  | {
      /** The new settings are in effect; `awaitingRestart` names those that take effect with the next start. */
      readonly type: "configuration_reloaded";
      readonly changed: readonly string[];
      readonly awaitingRestart: readonly string[];
    }
  | {
      /** The new settings cannot be used, or not yet, and the gateway keeps the old ones. Values are not repeated. */
      readonly type: "configuration_refused";
      readonly problems: readonly string[];
    };

/** The functions that a {@link Reloader} uses. */
export interface ReloaderOptions {
  /** The settings with which the gateway was started. */
  readonly settings: Settings;
  /** Reads the settings again. Throws when they cannot be read. */
  readonly read: () => ResolvedSettings;
  /** Puts settings into effect, all or none: when it rejects, the old ones are still in effect. */
  readonly apply: (settings: Settings) => Promise<void>;
  readonly clock: Pick<Clock, "setTimer">;
  /** Whether a failure may be temporary, so that the settings are tried again without a change. */
  readonly isTemporary: (cause: unknown) => boolean;
  /** Returns the public text for a failure to read or to apply. */
  readonly describe: (cause: unknown) => string;
  /** Returns the public text for a setting that breaks a rule. */
  readonly describeProblem: (problem: SettingProblem) => string;
  readonly report: (event: ReloadEvent) => void;
}

/** Reloads the settings of a running gateway. */
export interface Reloader {
  /** Reads the settings and applies them. Never rejects. A call during a reload starts another one after it. */
  reload(): Promise<void>;
  /** Stops retrying after a temporary failure. */
  end(): void;
}

/** The pause after a temporary failure, in milliseconds. */
const retryMs = 5_000;

/** Creates a {@link Reloader}. One reload runs at a time, and the last one sees the state at the time of the last call. */
export function createReloader(options: ReloaderOptions): Reloader {
  const { settings, read, apply, clock, isTemporary, describe, describeProblem, report } = options;
  let current = settings;
  let cancelRetry = (): void => undefined;
  /** The text of the temporary failure that was reported last; `null` after any other outcome. */
  let outage: string | null = null;
  let running: Promise<void> | null = null;
  let isRequested = false;
  let isEnded = false;

  async function reloadOnce(): Promise<void> {
    const resolved = read();
    if (!resolved.ok) return refuse(resolved.problems);
    const settled = settleReload(current, resolved.settings);
    if (settled.kind === "refused") return refuse(settled.problems);
    const { changed, awaitingRestart } = settled;
    if (changed.length > 0) {
      await apply(settled.settings);
      current = settled.settings;
    }
    report({ type: "configuration_reloaded", changed, awaitingRestart });
  }

  function refuse(problems: readonly SettingProblem[]): void {
    report({ type: "configuration_refused", problems: problems.map(describeProblem) });
  }

  function fail(cause: unknown): void {
    const text = describe(cause);
    const isReported = text === outage;
    outage = isTemporary(cause) ? text : null;
    if (outage !== null && !isEnded) cancelRetry = clock.setTimer(retryMs, () => void reload());
    if (!isReported) report({ type: "configuration_refused", problems: [text] });
  }

  async function run(): Promise<void> {
    do {
      isRequested = false;
      cancelRetry();
      await reloadOnce().then(() => (outage = null), fail);
    } while (isRequested);
    running = null;
  }

  function reload(): Promise<void> {
    isRequested = true;
    running ??= run();
    return running;
  }

  return {
    reload,
    end() {
      isEnded = true;
      cancelRetry();
    },
  };
}

/** The decision of {@link settleReload}. */
export type SettledReload =
  | {
      readonly kind: "settled";
      /** The settings in effect from now on: the new ones, except those that only a start can change. */
      readonly settings: Settings;
      /** Names of the settings that change now. */
      readonly changed: readonly string[];
      /** Names of the settings that differ and change with the next start. */
      readonly awaitingRestart: readonly string[];
    }
  /** None of the settings change: applying some of them would create a configuration that no file contains. */
  | { readonly kind: "refused"; readonly problems: readonly SettingProblem[] };

/** Settings that a running gateway applies, by their names in the file. */
const live = {
  "upstream.url": ({ upstream }) => (upstream.kind === "http" ? upstream.baseUrl : null),
  "upstream.maxResponseBytes": ({ upstream }) => (upstream.kind === "http" ? upstream.maxResponseBytes : null),
  "upstream.timeoutMs": ({ upstreamTimeoutMs }) => upstreamTimeoutMs,
  "upstream.maxConcurrentPerTenant": ({ maxConcurrentPerTenant }) => maxConcurrentPerTenant,
  "auth.jwt": ({ jwt }) => jwt,
  "auth.passThrough": ({ passThrough }) => passThrough,
  tenants: ({ tenants }) => tenants,
  approvals: ({ approvals }) => approvals,
  "cors.origins": ({ corsOrigins }) => corsOrigins,
  "audit.content": ({ auditContent }) => auditContent,
  shadow: ({ shadow }) => shadow && { keyIds: [...shadow.keyIds], rules: [...shadow.rules] },
  "audit.retentionDays": ({ auditRetentionDays }) => auditRetentionDays,
  rateLimits: ({ rateLimits }) => ({ ...rateLimits, store: null }),
  "cache.statusFor": ({ cache }) => cache?.statusFor,
  "admin.hostnames": ({ admin }) => admin?.hostnames,
  "shutdown.readinessDelayMs": ({ readinessDelayMs }) => readinessDelayMs,
} satisfies Record<string, (settings: Settings) => unknown>;

/** The names of the settings that a running gateway applies. Exported for the test of their documentation. */
export const liveSettings: readonly string[] = Object.keys(live);

/** Settings of the sockets, files and stores that a start opens, if they have the same name in the file. */
const fixedMembers = [
  "host",
  "port",
  "publicUrl",
  "dataDir",
  "maxOpenFiles",
  "log",
  "logLevel",
  "metrics",
  "otlp",
] as const;

/** All of them by their names in the file. `undefined`: the part to which the setting belongs is off. */
const fixed = {
  ...Object.fromEntries(fixedMembers.map((name) => [name, (settings: Settings) => settings[name]])),
  "console.enabled": (settings) => settings.console,
  "rateLimits.store": ({ rateLimits }) => rateLimits.store,
  "cache.enabled": ({ cache }) => cache !== null,
  "cache.store": ({ cache }) => cache?.store,
  "cache.maxBytes": ({ cache }) => cache?.maxBytes,
  "cache.maxEntries": ({ cache }) => cache?.maxEntries,
  "admin.port": ({ admin }) => admin?.port ?? null,
  "admin.host": ({ admin }) => admin?.host,
} satisfies Record<string, (settings: Settings) => unknown>;

/**
 * Decides which of the new settings a running gateway applies. Settings of a socket, a file or a store keep their value until
 * the next start and are named; all others take effect immediately.
 */
export function settleReload(current: Settings, next: Settings): SettledReload {
  if (current.upstream.kind !== next.upstream.kind) {
    const rule = "cannot change between the embedded environment server and another one without a restart";
    return { kind: "refused", problems: [{ setting: "upstream.url", rule }] };
  }
  const settings: Settings = {
    ...next,
    ...Object.fromEntries(fixedMembers.map((name) => [name, current[name]])),
    console: current.console,
    // From environment variables, which do not change while a process runs.
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

/** Names the members that differ. A part that is switched on or off is named once: its other members are not compared. */
function differences(
  members: Readonly<Record<string, (settings: Settings) => unknown>>,
  left: Settings,
  right: Settings,
): readonly string[] {
  return Object.entries(members)
    .filter(([, read]) => {
      const [before, after] = [read(left), read(right)];
      return before !== undefined && after !== undefined && !isDeepEqual(before, after);
    })
    .map(([name]) => name);
}
