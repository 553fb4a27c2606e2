import { existsSync } from "node:fs";
import process from "node:process";
import { systemClock } from "@letta-environments/platform/node";
import { watchFile } from "../../adapters/node/watch-file.ts";
import type { ParsedCommand } from "../../cli/parse-command.ts";
import type { Settings } from "../../config/settings.ts";
import { createReloader, type ReloadEvent } from "../../reload/create-reloader.ts";
import { CommandError } from "./command-error.ts";
import { configFileOf, readSettings } from "./load-settings.ts";

/**
 * Reads the configuration file again when it has changed, and on SIGHUP, and puts what it says into force.
 *
 * @param apply puts settings into force, wholly or not at all
 * @returns ends the watch
 */
export function reloadOnChange(
  parsed: ParsedCommand,
  settings: Settings,
  apply: (settings: Settings) => Promise<void>,
  report: (event: ReloadEvent) => void,
): () => void {
  const { path } = configFileOf(parsed);
  let wasThere = existsSync(path);
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
  const reload = (): void => void reloader.reload();
  process.on("SIGHUP", reload);
  const unwatch = watchFile(path, systemClock, reload);
  return () => {
    process.off("SIGHUP", reload);
    unwatch();
  };
}
