/** From a command line of `letta-proxy` to the function of its command and the exit code. Options are defined in `commands/program.ts`. */
import { basename } from "node:path";
import process from "node:process";
import { CommandError, completionScript, parseCommandLine } from "@letta-environments/command-line";
import { isSqliteError } from "@letta-environments/platform";
import { type CommandName, type ParsedLine, program } from "../../../commands/program.ts";
import { KeyStoreUnavailableError } from "../../../keys/key-store-outages.ts";
import { rootCauseMessage } from "../../../lib/redact.ts";
import { version } from "../../../version.ts";
import { findPrograms } from "../first-start.ts";
import { startCommand } from "../start.ts";
import { listAuditCommand, pruneAuditCommand, verifyAuditCommand } from "./audit.ts";
import { backupCommand, restoreCommand } from "./backup.ts";
import { checkConfigCommand } from "./config.ts";
import { type CommandContext, createContext, print, warn, watchOutput } from "./context.ts";
import {
  inviteDeviceCommand,
  listDevicesCommand,
  releaseDeviceCommand,
  removeDeviceCommand,
  showDeviceCommand,
} from "./devices.ts";
import { explainCommand } from "./explain.ts";
import {
  consoleLinkCommand,
  createKeyCommand,
  listKeysCommand,
  revokeKeyCommand,
  rotateKeyCommand,
  setDisabledCommand,
  showKeyCommand,
  updateKeyCommand,
} from "./keys.ts";

const run: Readonly<Record<CommandName, (context: CommandContext) => void | Promise<void>>> = {
  start: ({ parsed }) => startCommand(parsed),
  "keys create": createKeyCommand,
  "keys list": listKeysCommand,
  "keys show": showKeyCommand,
  "keys update": updateKeyCommand,
  "keys disable": (context) => setDisabledCommand(context, true),
  "keys enable": (context) => setDisabledCommand(context, false),
  "keys revoke": revokeKeyCommand,
  "keys rotate": rotateKeyCommand,
  "devices list": listDevicesCommand,
  "devices show": showDeviceCommand,
  "devices release": releaseDeviceCommand,
  "devices remove": removeDeviceCommand,
  "devices invite": inviteDeviceCommand,
  "console link": consoleLinkCommand,
  "config check": checkConfigCommand,
  "audit list": listAuditCommand,
  "audit verify": verifyAuditCommand,
  "audit prune": pruneAuditCommand,
  explain: explainCommand,
  backup: backupCommand,
  restore: restoreCommand,
  completion: ({ parsed }) => print(completionScript(program, parsed.operands[0] ?? "", calledAs())),
};

/** How to call this program: by its name if it was installed on the PATH, else as the folder runs it. */
function calledAs(): string {
  const path = process.argv[1] ?? "";
  const isOnPath = basename(path) === program.name && !path.includes("node_modules");
  return isOnPath ? program.name : findPrograms(".data").proxy;
}

/** Runs a command line and resolves with the exit code: 0 done, 1 failed, 2 misused. */
export async function runCommandLine(words: readonly string[]): Promise<number> {
  const endOutput = watchOutput();
  const exitCode = await runWords(words);
  return exitCode === 0 ? endOutput() : exitCode;
}

async function runWords(words: readonly string[]): Promise<number> {
  const line = parseCommandLine(program, words, process.stdout.columns || undefined);
  switch (line.kind) {
    case "help":
      print(line.text);
      return 0;
    case "version":
      print(`${version}\n`);
      return 0;
    case "misused":
      process.stderr.write(line.text);
      return 2;
    case "run":
      return execute(line.parsed);
  }
}

async function execute(parsed: ParsedLine): Promise<number> {
  try {
    await run[parsed.command.name](createContext(parsed));
    return 0;
  } catch (error) {
    const { message, exitCode } = describeFailure(error);
    for (const line of message.split("\n")) warn(line);
    return exitCode;
  }
}

/** Describes a failure. Rethrows anything that is a defect of this program. */
export function describeFailure(error: unknown): CommandError {
  if (error instanceof CommandError) return error;
  if (error instanceof KeyStoreUnavailableError) {
    if (isSqliteError(error.cause)) return describeFailure(error.cause);
    const reason = rootCauseMessage(error);
    if (error.isRefused) return new CommandError(`the key store refused the change: ${reason}`);
    return new CommandError(
      `the key store did not respond: ${reason}; 'letta-proxy keys list' shows whether the change was made`,
    );
  }
  // A full disk or a damaged file is not a defect of this program.
  if (isSqliteError(error)) return new CommandError(`the data directory cannot be used: ${error.message}`);
  throw error;
}
