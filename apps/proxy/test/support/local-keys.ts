/** The keys of a data directory, changed as the commands do it, but in the process of the test: a process for each key takes 0.2 seconds of processor time. */
import { parseCommandLine } from "@letta-environments/command-line";
import { readKeyRequest } from "../../src/commands/key-options.ts";
import { program } from "../../src/commands/program.ts";
import { createContext } from "../../src/runtimes/node/commands/context.ts";
import { administerLocalKeys } from "../../src/runtimes/node/commands/local-keys.ts";

/** Creates the key of `keys create` with these options, and resolves with it. */
export function createLocalKey(options: readonly string[]): Promise<string> {
  const context = contextOf(["keys", "create", ...options]);
  const request = readKeyRequest(context.parsed.options, Date.now(), null);
  return inTurn(() => administerLocalKeys(context).create(request));
}

/** Revokes the key of `keys revoke` with these operands and options. */
export function revokeLocalKey(words: readonly string[]): Promise<void> {
  const context = contextOf(["keys", "revoke", ...words]);
  return inTurn(() => administerLocalKeys(context).revoke(context.parsed.operands[0] ?? ""));
}

function contextOf(words: readonly string[]): ReturnType<typeof createContext> {
  const line = parseCommandLine(program, words);
  if (line.kind !== "run") throw new Error(`This is not a command to run: ${words.join(" ")}`);
  return createContext(line.parsed);
}

let last: Promise<unknown> = Promise.resolve();

/** Runs one change after the other: two in one process would wait for each other's lock without letting the other go on. */
function inTurn<Result>(change: () => Promise<Result>): Promise<Result> {
  const result = last.then(change);
  last = result.catch(() => undefined);
  return result;
}
