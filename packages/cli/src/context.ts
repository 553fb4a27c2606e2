/** The tools that every command gets, the options that several commands read in the same way, and how results are printed. */
import type { ListEnvironmentsInput } from "@letta-environments/client";
import { choosePaint, formatJson, misuse, type Paint, type ParsedCommand } from "@letta-environments/command-line";
import { isTag, tagRule } from "@letta-environments/schema";
import type { Host } from "./host.ts";
import { createEnvironmentOperations, type EnvironmentOperations } from "./operations.ts";
import type { CommandName } from "./program.ts";
import { type ReadOption, readSettings } from "./settings.ts";

/** A command line of this program. */
export type ParsedLine = ParsedCommand<CommandName>;

/** The tools of a command: host, options, colours, and access to the server. */
export interface CommandContext {
  readonly host: Host;
  readonly parsed: ParsedLine;
  /** The colours of standard output. */
  readonly paint: Paint;
  readonly isJson: boolean;
  readonly option: ReadOption;
  /** Reads address and key. Rejects with a `CommandError`. */
  connect(): Promise<EnvironmentOperations>;
}

/** The context of a command line on a host. */
export function createContext(host: Host, parsed: ParsedLine): CommandContext {
  const option = optionOf(parsed);
  return {
    host,
    parsed,
    option,
    paint: choosePaint(host.stdout.isTerminal, host.variable),
    isJson: parsed.options.has("json"),
    connect: async () => createEnvironmentOperations(host, await readSettings(host, option)),
  };
}

/** Prints the result of a command: as JSON with `--json`, for people on a terminal, and otherwise as columns for programs. */
export async function printResult(
  { host: { stdout }, isJson }: CommandContext,
  { json, people, columns }: { json: unknown; people: () => string; columns: () => string },
): Promise<void> {
  await stdout.write(isJson ? formatJson(json) : stdout.isTerminal ? people() : columns());
}

/** Reads an option of a command line; an option without a value reads as the empty text. */
export function optionOf({ options }: ParsedLine): ReadOption {
  return (name) => (options.has(name) ? (options.get(name)?.[0] ?? "") : undefined);
}

/** The devices that `--online`, `--source`, `--user` and `--tag` select. @throws CommandError naming the option */
export function readFilter({
  option,
  parsed,
}: Pick<CommandContext, "option" | "parsed">): Pick<ListEnvironmentsInput, "onlineOnly" | "source" | "userId" | "tag"> {
  const source = option("source");
  if (source !== undefined && source !== "local" && source !== "remote") {
    throw misuse("--source must be local or remote");
  }
  const userId = option("user");
  if (userId !== undefined && userId.length > 256) throw misuse("--user must have at most 256 characters");
  const tag = parsed.options.get("tag") ?? [];
  if (!tag.every(isTag)) throw misuse(`--tag ${tagRule}`);
  return { tag, ...(option("online") !== undefined && { onlineOnly: true }), source, userId };
}

/** The number of rows that `--limit` or `--all` selects; `null`: all. @throws CommandError naming the options */
export function readLimit({ option }: Pick<CommandContext, "option">, defaultLimit: number): number | null {
  const text = option("limit");
  const isAll = option("all") !== undefined;
  if (text === undefined) return isAll ? null : defaultLimit;
  if (isAll) throw misuse("--limit and --all cannot be used together");
  if (!/^[1-9]\d{0,8}$/.test(text)) throw misuse("--limit must be a whole number from 1");
  return Number(text);
}
