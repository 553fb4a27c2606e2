import { CommandError } from "./command-error.ts";
import type { CommandName } from "./command-line/commands.ts";
import type { ParsedCommand } from "./command-line/parse-command-line.ts";
import type { CommandContext } from "./commands/command-context.ts";
import { createContext } from "./commands/create-context.ts";
import { decideCommand } from "./commands/decide.ts";
import { getCommand } from "./commands/get.ts";
import { listCommand } from "./commands/list.ts";
import { sendCommand } from "./commands/send.ts";
import { watchCommand } from "./commands/watch.ts";
import { describeFailure } from "./describe-failure.ts";
import { type ExitCode, exitCodes } from "./exit-code.ts";
import { printable } from "./format/printable.ts";
import type { Host } from "./host.ts";

type Run = (context: CommandContext) => Promise<ExitCode>;

const run: Readonly<Record<Exclude<CommandName, "help">, Run>> = {
  list: listCommand,
  get: getCommand,
  send: sendCommand,
  watch: watchCommand,
  approve: (context) => decideCommand(context, true),
  deny: (context) => decideCommand(context, false),
};

/** Runs a command that was read from a command line, and tells why where it fails. */
export async function runParsed(host: Host, parsed: ParsedCommand): Promise<ExitCode> {
  const { name } = parsed.command;
  try {
    if (name === "help") return exitCodes.done;
    return await run[name](createContext(host, parsed));
  } catch (error) {
    const failure = error instanceof CommandError ? error : describeFailure(error, { host, parsed });
    // Ctrl-C is how a watch ends: there is nothing to tell.
    if (name === "watch" && host.interrupted.aborted) return failure.exitCode;
    const [first, ...more] = [failure.message, ...failure.details].map(printable);
    await host.stderr.write([`letta-env: ${first}\n`, ...more.map((line) => `${line}\n`)].join(""));
    return failure.exitCode;
  }
}
