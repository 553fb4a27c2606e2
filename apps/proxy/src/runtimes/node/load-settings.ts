import { readFileSync } from "node:fs";
import process from "node:process";
import type { ParsedCommand } from "../../cli/parse-command.ts";
import { resolveSettings } from "../../config/resolve-settings.ts";
import type { Settings } from "../../config/settings.ts";
import { CommandError } from "./command-error.ts";

const defaultConfigFile = "proxy.config.json";

/**
 * Reads the settings of a command: its options, the environment, and the configuration file.
 *
 * @throws CommandError that names every setting that breaks a rule.
 */
export function loadSettings({ options }: ParsedCommand): Settings {
  const flags = Object.fromEntries([...options].map(([name, values]) => [name, values.at(-1)]));
  const named = flags["config"] ?? (process.env["PROXY_CONFIG"] || undefined);
  const resolved = resolveSettings({ flags, environment: process.env, file: readConfigFile(named) });
  if (resolved.ok) return resolved.settings;
  const lines = resolved.problems.map(({ setting, rule }) => `${setting} ${rule}`);
  const isMisuse = resolved.problems.every(({ setting }) => setting.startsWith("--"));
  throw new CommandError(lines.join("\n"), isMisuse ? 2 : 1);
}

/** A file that was asked for must be there; the default one may be absent. */
function readConfigFile(named: string | undefined): unknown {
  const path = named ?? defaultConfigFile;
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    const isAbsent = cause instanceof Error && "code" in cause && cause.code === "ENOENT";
    if (named === undefined && isAbsent) return undefined;
    throw new CommandError(`${path} cannot be read${isAbsent ? ": there is no such file" : ""}`, 1, { cause });
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new CommandError(`${path} is not valid JSON`, 1, { cause });
  }
}
