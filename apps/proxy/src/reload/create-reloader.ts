import type { ResolvedSettings } from "../config/resolve-settings.ts";
import type { Settings } from "../config/settings.ts";
import { settleReload } from "./settle-reload.ts";

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
