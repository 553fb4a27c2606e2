import { isIdentifier } from "@letta-environments/schema";
import { misuse } from "../command-error.ts";
import type { Target } from "../deliver.ts";
import type { CommandContext } from "./command-context.ts";

/** Where a message goes, and the operands behind DEVICE. @throws CommandError naming what is wrong. */
export function readTarget({ parsed, option }: CommandContext): { target: Target; rest: readonly string[] } {
  const { name } = parsed.command;
  const connectionId = option("connection");
  if (option("agent") === undefined && option("conversation") === undefined) throw misuse(`'${name}' needs --agent ID`);
  if (connectionId !== undefined) {
    if (!isIdentifier(connectionId)) throw misuse("--connection must be 1 to 128 of A-Z a-z 0-9 . _ ~ : -");
    if (parsed.operands.length === parsed.command.operands.length)
      throw misuse("DEVICE and --connection exclude each other");
    return { target: { kind: "connection", connectionId }, rest: parsed.operands };
  }
  const [device, ...rest] = parsed.operands;
  if (device === undefined || device === "-") throw misuse(`'${name}' needs DEVICE, or --connection ID`);
  return { target: { kind: "device", device }, rest };
}
