import { existsSync } from "node:fs";
import process from "node:process";
import { systemClock } from "@letta-environments/platform/node";
import { watchFile } from "../../adapters/node/watch-file.ts";
import type { ParsedLine } from "../../commands/program.ts";
import type { Settings } from "../../config/settings.ts";
import { createReloader, type ReloadEvent } from "../../reload/create-reloader.ts";
import { CommandError } from "@letta-environments/command-line";
import { configFileOf, readSettings } from "./load-settings.ts";
import { isInTerminal } from "./stop-on-signal.ts";

/** Watches the configuration file from before it is first read. */
export interface ConfigurationChanges {
  /**
   * Puts into force what the file says, now if it has changed since the watch began and whenever it changes, or on SIGHUP; in a terminal that
   * signal says that the terminal was closed, and is `stopOnSignal`'s.
   *
   * @param apply puts settings into force, wholly or not at all
   */
  begin(settings: Settings, apply: (settings: Settings) => Promise<void>, report: (event: ReloadEvent) => void): void;
  /** Ends the watch. SIGHUP stays caught: uncaught it ends the process, and with it what a stop waits for. */
  end(): void;
}

/** Reads the configuration file again when it has changed, and on SIGHUP. Called before the settings are first read, so that no change is missed. */
export function reloadOnChange(parsed: ParsedLine): ConfigurationChanges {
  const { path } = configFileOf(parsed);
  let wasThere = existsSync(path);
  let isAsked = false;
  let reload = (): void => {
    isAsked = true;
  };
  const unwatch = watchFile(path, systemClock, () => reload());

  return {
    begin(settings, apply, report) {
      const reloader = createReloader({
        settings,
        read() {
          // A file that is gone is more likely lost than meant: all its settings would fall back to defaults.
          if (wasThere && !existsSync(path)) throw new CommandError(`${path} is no longer there`);
          wasThere = existsSync(path);
          return readSettings(parsed);
        },
        apply,
        describe: (cause) => (cause instanceof CommandError ? cause.message : "the settings cannot be put into force"),
        report,
      });
      reload = () => void reloader.reload();
      if (!isInTerminal()) process.on("SIGHUP", () => reload());
      if (isAsked) reload();
    },
    end() {
      reload = () => undefined;
      unwatch();
    },
  };
}
