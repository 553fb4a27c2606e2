/** The settings of a command: where they come from, and how a running gateway follows their changes. */
import { existsSync, readFileSync } from "node:fs";
import process from "node:process";
import { CommandError } from "@letta-environments/command-line";
import { systemClock } from "@letta-environments/platform/node";
import { errorCode } from "../../adapters/node/data-dir.ts";
import { watchFile } from "../../adapters/node/watched-files.ts";
import type { ParsedLine } from "../../commands/program.ts";
import { findJsonSyntaxError } from "../../config/json-syntax.ts";
import { createReloader, type ReloadEvent } from "../../config/reload.ts";
import { type ResolvedSettings, resolveSettings } from "../../config/resolve.ts";
import type { Settings } from "../../config/settings.ts";
import { KeyStoreUnavailableError } from "../../keys/key-store-outages.ts";
import { readText } from "../../lib/json.ts";
import type { SettingProblem } from "../../lib/setting-rules.ts";
import { describeKeyStore } from "./keys.ts";

const defaultConfigFile = "proxy.config.json";

/**
 * Reads the settings of a command from its options, the environment and the configuration file.
 *
 * @throws CommandError that names every setting that breaks a rule
 */
export function loadSettings(parsed: ParsedLine): Settings {
  const resolved = readSettings(parsed);
  if (resolved.ok) return resolved.settings;
  const { path } = configFileOf(parsed);
  const lines = resolved.problems.map((problem) => describeProblem(problem, path));
  const isMisuse = resolved.problems.every(({ setting }) => setting.startsWith("--"));
  throw new CommandError(lines.join("\n"), isMisuse ? 2 : 1);
}

/**
 * Reads the settings of a command, or the rules that they break.
 *
 * @throws CommandError if the configuration file cannot be read
 */
function readSettings(parsed: ParsedLine): ResolvedSettings {
  const file = configFileOf(parsed);
  const flags = flagsOf(parsed);
  // The other commands open no listener. They must not depend on a secret that they do not use: one of them revokes a leaked key.
  const withoutAdminToken = parsed.command.name !== "start" && parsed.command.name !== "config check";
  return resolveSettings({ flags, environment: process.env, file: readConfigFile(file), withoutAdminToken });
}

/** The configuration file of a command. */
export interface ConfigFilePath {
  readonly path: string;
  /** Whether the user named the file. A named file must exist; the default one can be missing. */
  readonly isNamed: boolean;
}

/** Says in words which configuration file a command read, or that there was none. */
export function describeConfigFile(parsed: ParsedLine): string {
  const { path } = configFileOf(parsed);
  return existsSync(path) ? `${path} was read` : `no file was read, because there is no ${path} here`;
}

/** Describes a setting that breaks a rule. A setting of the file follows the file's name; options and variables name themselves. */
function describeProblem({ setting, rule }: SettingProblem, path: string): string {
  const isOutside = /^(?:--|[A-Z][A-Z0-9_]*$)/.test(setting);
  // The name of a variable can be in the file by mistake.
  const isMisplaced = rule.startsWith("is not a setting");
  return isOutside && !isMisplaced ? `${setting} ${rule}` : `${path}: ${setting} ${rule}`;
}

/** Returns the configuration file that a command reads. */
function configFileOf(parsed: ParsedLine): ConfigFilePath {
  const named = flagsOf(parsed)["config"] ?? (process.env["PROXY_CONFIG"] || undefined);
  return { path: named ?? defaultConfigFile, isNamed: named !== undefined };
}

function flagsOf({ options }: ParsedLine): Readonly<Record<string, string | undefined>> {
  return Object.fromEntries([...options].map(([name, values]) => [name, values.at(-1)]));
}

/** Says why a configuration file cannot be read, from the error. Returns `null` for a default file that is missing. */
export function describeUnreadable({ path, isNamed }: ConfigFilePath, cause: unknown): string | null {
  const code = errorCode(cause);
  if (code === "ENOENT") return isNamed ? `${path} cannot be read: there is no such file` : null;
  if (code === "EISDIR") return `${path} cannot be read: this is a directory`;
  if (code !== "EACCES") return `${path} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`;
  // In a folder that this user may not enter, such as a home folder under sudo, the system does not say whether the file exists.
  const reason = isNamed
    ? "this user is not allowed to"
    : "this user may not read it or the current folder; run the command in another folder, or name a file with --config";
  return `${path} cannot be read: ${reason}`;
}

function readConfigFile(file: ConfigFilePath): unknown {
  const { path } = file;
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(path);
  } catch (cause) {
    const problem = describeUnreadable(file, cause);
    if (problem === null) return undefined;
    throw new CommandError(problem, 1, { cause });
  }
  // Drops a byte order mark, which some Windows editors write, as RFC 8259 section 8.1 allows.
  const text = readText(bytes, String);
  if (text === undefined) throw new CommandError(`${path} is not UTF-8; save it in that encoding`);
  const error = findJsonSyntaxError(text);
  if (error !== null) {
    throw new CommandError(`${path} is not valid JSON: line ${error.line}, column ${error.column}: ${error.reason}`);
  }
  return JSON.parse(text);
}

/** A watch on the configuration file. */
export interface SettingsWatch {
  /**
   * Applies the settings of the file whenever it changes, and on SIGHUP. A change since the watch began is applied immediately.
   * In a terminal, SIGHUP means that the terminal was closed, and `stopOnSignal` handles it.
   *
   * @param apply Applies all settings or none.
   */
  begin(settings: Settings, apply: (settings: Settings) => Promise<void>, report: (event: ReloadEvent) => void): void;
  /** Ends the watch. SIGHUP is still caught, because it would end the process before a graceful stop is complete. */
  end(): void;
}

/** Watches the configuration file. Call it before the settings are first read, so that no change is missed. */
export function watchSettings(parsed: ParsedLine): SettingsWatch {
  const { path } = configFileOf(parsed);
  let exists = existsSync(path);
  let isPending = false;
  let reload = (): void => {
    isPending = true;
  };
  let endReloads = (): void => undefined;
  const unwatch = watchFile(path, systemClock, () => reload());
  if (!isInTerminal()) process.on("SIGHUP", () => reload());

  return {
    begin(settings, apply, report) {
      const reloader = createReloader({
        settings,
        read() {
          // A missing file is more likely a mistake than an intention: all its settings would return to their defaults.
          if (exists && !existsSync(path)) throw new CommandError(`${path} no longer exists`);
          exists = existsSync(path);
          return readSettings(parsed);
        },
        apply,
        clock: systemClock,
        isTemporary: (cause) => cause instanceof KeyStoreUnavailableError,
        describe: (cause) => describeFailure(cause, settings),
        describeProblem: (problem) => describeProblem(problem, path),
        report,
      });
      reload = () => void reloader.reload();
      endReloads = () => reloader.end();
      if (isPending) reload();
    },
    end() {
      reload = () => undefined;
      endReloads();
      unwatch();
    },
  };
}

/** Whether the process was started in a terminal, which sends SIGHUP when it is closed. */
export function isInTerminal(): boolean {
  return process.stdin.isTTY === true;
}

/** The public text for settings that could not be applied. */
function describeFailure(cause: unknown, settings: Settings): string {
  if (cause instanceof CommandError) return cause.message;
  if (!(cause instanceof KeyStoreUnavailableError)) return "the settings cannot be applied";
  return `the settings cannot be applied yet: ${describeKeyStore(settings)} does not respond. The gateway tries again until it does.`;
}
