import { CommandError, completionScript, joinLines, printable } from "@letta-environments/command-line";
import { type CommandContext, createContext, type ParsedLine } from "./context.ts";
import { approvalsCommand } from "./commands/approvals.ts";
import { getCommand, listCommand } from "./commands/devices.ts";
import { messagesCommand } from "./commands/messages.ts";
import { mcpCommand } from "./commands/mcp.ts";
import { modeCommand, stopCommand } from "./commands/control.ts";
import { decideCommand, sendCommand } from "./commands/send.ts";
import { watchCommand } from "./commands/watch.ts";
import { exitCodes } from "./exit-code.ts";
import { describeFailure } from "./failure.ts";
import type { Host } from "./host.ts";
import { type CommandName, program } from "./program.ts";

const run: Readonly<Record<CommandName, (context: CommandContext) => Promise<number>>> = {
  list: listCommand,
  get: getCommand,
  send: sendCommand,
  messages: messagesCommand,
  watch: watchCommand,
  approve: (context) => decideCommand(context, true),
  deny: (context) => decideCommand(context, false),
  approvals: approvalsCommand,
  stop: stopCommand,
  mode: modeCommand,
  mcp: mcpCommand,
  async completion({ host, parsed }) {
    await host.stdout.write(completionScript(program, parsed.operands[0] ?? ""));
    return exitCodes.done;
  },
};

/** Runs a command, prints why it failed, and resolves with the exit code. */
export async function execute(host: Host, parsed: ParsedLine): Promise<number> {
  const { name } = parsed.command;
  try {
    return await run[name](createContext(host, parsed));
  } catch (error) {
    const failure = error instanceof CommandError ? error : describeFailure(error, { host, parsed });
    // Ctrl-C is the usual end of a watch.
    if (name === "watch" && host.interrupted.aborted) return failure.exitCode;
    const [first, ...more] = [failure.message, ...failure.details].map(printable);
    await host.stderr.write(joinLines([`letta-env: ${first}`, ...more]));
    return failure.exitCode;
  }
}
