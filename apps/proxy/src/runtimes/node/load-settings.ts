import { readFileSync } from "node:fs";
import process from "node:process";
import type { ParsedLine } from "../../commands/program.ts";
import { findJsonSyntaxError } from "../../config/json-syntax.ts";
import { type ResolvedSettings, resolveSettings } from "../../config/resolve-settings.ts";
import type { Settings } from "../../config/settings.ts";
import { CommandError } from "@letta-environments/command-line";

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
