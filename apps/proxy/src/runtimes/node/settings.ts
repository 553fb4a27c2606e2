import { existsSync, readFileSync } from "node:fs";
import process from "node:process";
import { systemClock } from "@letta-environments/platform/node";
import { watchFile } from "../../adapters/node/watch-file.ts";
import type { ParsedLine } from "../../commands/program.ts";
import { createReloader, type ReloadEvent } from "../../config/reload.ts";
import { type ResolvedSettings, resolveSettings } from "../../config/resolve.ts";
import type { Settings } from "../../config/settings.ts";
import { CommandError } from "@letta-environments/command-line";
import { isInTerminal } from "./listen.ts";
import { findJsonSyntaxError } from "../../config/json-syntax.ts";

const defaultConfigFile = "proxy.config.json";

/**
 * Reads the settings of a command: its options, the environment, and the configuration file.
 *
 * @throws CommandError that names every setting that breaks a rule.
 */
export function loadSettings(parsed: ParsedLine): Settings {
  const resolved = readSettings(parsed);
  if (resolved.ok) return resolved.settings;
  const lines = resolved.problems.map(({ setting, rule }) => `${setting} ${rule}`);
  const isMisuse = resolved.problems.every(({ setting }) => setting.startsWith("--"));
  throw new CommandError(lines.join("\n"), isMisuse ? 2 : 1);
}

/**
 * The settings of a command, or the rules they break.
 *
 * @throws CommandError when the configuration file cannot be read.
 */
export function readSettings(parsed: ParsedLine): ResolvedSettings {
  const file = configFileOf(parsed);
  return resolveSettings({ flags: flagsOf(parsed), environment: process.env, file: readConfigFile(file) });
}

/** The configuration file of a command. */
export interface ConfigFilePath {
  readonly path: string;
  /** Whether the user named it, so that it must exist; the default one can be missing. */
  readonly isNamed: boolean;
}

/** Which configuration file a command reads. */
export function configFileOf(parsed: ParsedLine): ConfigFilePath {
  const named = flagsOf(parsed)["config"] ?? (process.env["PROXY_CONFIG"] || undefined);
  return { path: named ?? defaultConfigFile, isNamed: named !== undefined };
}

function flagsOf({ options }: ParsedLine): Readonly<Record<string, string | undefined>> {
  return Object.fromEntries([...options].map(([name, values]) => [name, values.at(-1)]));
}

function readConfigFile({ path, isNamed }: ConfigFilePath): unknown {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    const isAbsent = cause instanceof Error && "code" in cause && cause.code === "ENOENT";
    if (!isNamed && isAbsent) return undefined;
    throw new CommandError(`${path} cannot be read${isAbsent ? ": there is no such file" : ""}`, 1, { cause });
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    const error = findJsonSyntaxError(text);
    const reason = error === null ? "" : `: line ${error.line}, column ${error.column}: ${error.reason}`;
    throw new CommandError(`${path} is not valid JSON${reason}`, 1, { cause });
  }
}

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
