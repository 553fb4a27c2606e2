import type { ParsedCommand } from "../command-line/parse-command-line.ts";
import { createEnvironmentOperations } from "../environment-operations.ts";
import { choosePaint } from "../format/style.ts";
import type { Host } from "../host.ts";
import { readSettings } from "../read-settings.ts";
import type { CommandContext } from "./command-context.ts";

/** The context of a command line on a host. */
export function createContext(host: Host, parsed: ParsedCommand): CommandContext {
  const option = (name: string): string | undefined => parsed.options.get(name);
  return {
    host,
    parsed,
    option,
    paint: choosePaint(host.stdout.isTerminal, host.variable),
    isJson: parsed.options.has("json"),
    connect: async () => createEnvironmentOperations(host, await readSettings(host, option)),
  };
}
