import process from "node:process";
import { isSqliteError } from "@letta-environments/platform";
import type { CommandName } from "../../cli/commands.ts";
import { helpText } from "../../cli/help-text.ts";
import { type ParsedCommand, parseCommand } from "../../cli/parse-command.ts";
import { KeyStoreUnavailableError } from "../../keys/key-store-outages.ts";
import { version } from "../../version.ts";
import { listAuditCommand, verifyAuditCommand } from "./audit-commands.ts";
import { checkConfigCommand } from "./check-config.ts";
import { CommandError } from "./command-error.ts";
import {
  createKeyCommand,
  disableKeyCommand,
  enableKeyCommand,
  listKeysCommand,
  revokeKeyCommand,
  rotateKeyCommand,
} from "./key-commands.ts";
import { remoteKeyCommand } from "./remote-key-commands.ts";
import { startCommand } from "./start.ts";

const run: Readonly<Record<CommandName, (parsed: ParsedCommand) => void | Promise<void>>> = {
  start: startCommand,
  "keys create": createKeyCommand,
  "keys list": listKeysCommand,
  "keys disable": disableKeyCommand,
  "keys enable": enableKeyCommand,
  "keys revoke": revokeKeyCommand,
  "keys rotate": rotateKeyCommand,
  "config check": checkConfigCommand,
  "audit verify": verifyAuditCommand,
  "audit list": listAuditCommand,
};

/** Runs a command line and resolves with the exit code: 0 done, 1 failed, 2 misused. */
export async function runCommand(words: readonly string[]): Promise<0 | 1 | 2> {
  const line = parseCommand(words);
  switch (line.kind) {
    case "help":
      process.stdout.write(helpText(line.command));
      return 0;
    case "version":
      process.stdout.write(`${version}\n`);
      return 0;
    case "misused":
      process.stderr.write(`letta-proxy: ${line.reason}\n\n${helpText(line.command)}`);
      return 2;
    case "run":
      return runParsed(line.parsed);
  }
}

async function runParsed(parsed: ParsedCommand): Promise<0 | 1 | 2> {
  try {
    await (parsed.options.has("url") ? remoteKeyCommand : run[parsed.command.name])(parsed);
    return 0;
  } catch (error) {
    if (error instanceof KeyStoreUnavailableError) {
      process.stderr.write(
        "letta-proxy: Valkey gave no answer; 'letta-proxy keys list' shows whether a change was made.\n",
      );
      return 1;
    }
    // A full disk, a damaged file: no defect of ours, so no stack.
    if (isSqliteError(error)) {
      process.stderr.write(`letta-proxy: the data directory cannot be used: ${error.message}\n`);
      return 1;
    }
    if (!(error instanceof CommandError)) throw error;
    process.stderr.write(`letta-proxy: ${error.message.replaceAll("\n", "\nletta-proxy: ")}\n`);
    return error.exitCode;
  }
}
