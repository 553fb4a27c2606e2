import { maxBodyBytes } from "@letta-environments/schema";
import { misuse } from "../command-error.ts";
import type { Host } from "../host.ts";

/**
 * The message: the operand, or standard input without its last line end. A terminal is read only when it was asked for with
 * `-`, since nobody knows that the program waits for it.
 */
export async function readMessage(host: Host, operands: readonly string[]): Promise<string> {
  const [operand] = operands;
  if (operand === undefined && host.stdin.isTerminal) {
    throw misuse("a MESSAGE is needed: as an operand, or on standard input");
  }
  const text = operand === undefined || operand === "-" ? await readStandardInput(host) : operand;
  if (text === "") throw misuse("MESSAGE must not be empty");
  return text;
}

async function readStandardInput({ stdin, stderr, interrupted }: Host): Promise<string> {
  if (stdin.isTerminal && stderr.isTerminal) await stderr.write("Message, ended by Ctrl-D:\n");
  const bytes = await stdin.read(maxBodyBytes);
  interrupted.throwIfAborted();
  if (bytes === null) throw misuse("MESSAGE must have at most 1,048,576 bytes");
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes).replace(/\r?\n$/, "");
  } catch {
    throw misuse("MESSAGE must be text in UTF-8");
  }
}
