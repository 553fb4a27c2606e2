/** `send`, and `approve` and `deny`, which send a decision instead of a text. */
import type { ApprovalDecision } from "@letta-environments/client";
import { misuse } from "@letta-environments/command-line";
import { isIdentifier, maxBodyBytes } from "@letta-environments/schema";
import { deliver, type Target } from "../delivery.ts";
import { exitCodes } from "../exit-code.ts";
import { follow } from "../follow/follow.ts";
import type { Host } from "../host.ts";
import { readDuration } from "../settings.ts";
import type { CommandContext } from "../context.ts";

/** `letta-env send DEVICE --agent ID MESSAGE`. */
export async function sendCommand(context: CommandContext): Promise<number> {
  const { host, option } = context;
  const { target, rest } = readTarget(context);
  const wait = option("wait-online");
  const waitMs = wait === undefined ? null : readWait(wait);
  if (waitMs !== null && target.kind === "connection") {
    throw misuse("--wait-online needs DEVICE: a connection that has ended never comes back");
  }
  const idempotencyKey = option("idempotency-key");
  // The characters that both the client and the gateway accept.
  if (idempotencyKey !== undefined && !/^[!#-+\--[\]-~]{1,256}$/.test(idempotencyKey)) {
    throw misuse(
      "--idempotency-key must be 1 to 256 visible ASCII characters without commas, double quotes and backslashes",
    );
  }
  const messageId = option("message-id") ?? host.newId();
  const isFollowed = option("follow") !== undefined;
  if (isFollowed && target.kind === "connection") throw misuse("--follow needs DEVICE instead of --connection");
  const operations = await context.connect();
  const content = await readMessage(host, rest);
  const message = { role: "user", content, client_message_id: messageId } as const;
  if (isFollowed && target.kind === "device")
    return follow(context, operations, { target, message, waitMs, idempotencyKey });
  await deliver(context, operations, { target, message, waitMs, idempotencyKey });
  return exitCodes.done;
}

/** How long a device may stay offline: longer than any request, because the client looks it up repeatedly. */
function readWait(text: string): number {
  const hint = "Use --wait-online=5m before a MESSAGE that begins with a digit.";
  return readDuration("--wait-online", text, 24, /^\d/.test(text) ? [hint] : []);
}

/** `letta-env approve DEVICE` and `letta-env deny DEVICE`. */
export async function decideCommand(context: CommandContext, approve: boolean): Promise<number> {
  const { parsed, option } = context;
  const { target } = readTarget(context);
  const request = option("request");
  if (request === undefined) throw misuse(`'${parsed.command.name}' needs --request ID`);
  const reason = option("reason");
  const decision: ApprovalDecision = {
    type: "approval",
    approve,
    tool_call_id: request,
    ...(reason !== undefined && { reason }),
  };
  await deliver(context, await context.connect(), {
    target,
    message: { type: "approval", approvals: [decision] },
    waitMs: null,
    idempotencyKey: undefined,
  });
  return exitCodes.done;
}

/** The recipient of a message, and the operands after DEVICE. @throws CommandError naming the mistake */
function readTarget({ parsed, option }: CommandContext): { target: Target; rest: readonly string[] } {
  const { name } = parsed.command;
  const connectionId = option("connection");
  if (option("agent") === undefined && option("conversation") === undefined) throw misuse(`'${name}' needs --agent ID`);
  if (connectionId !== undefined) {
    if (!isIdentifier(connectionId))
      throw misuse("--connection must be 1 to 128 characters from A-Z a-z 0-9 . _ ~ : -");
    if (parsed.operands.length === parsed.command.operands.length) {
      throw misuse("DEVICE and --connection cannot be used together");
    }
    return { target: { kind: "connection", connectionId }, rest: parsed.operands };
  }
  const [device, ...rest] = parsed.operands;
  if (device === undefined || device === "-") throw misuse(`'${name}' needs DEVICE, or --connection ID`);
  return { target: { kind: "device", device }, rest };
}

/**
 * The message: the operand, or standard input without its last line end. A terminal is read only for the operand `-`, because without it
 * people would not know that the program waits for them.
 */
async function readMessage(host: Host, [operand]: readonly string[]): Promise<string> {
  if (operand === undefined && host.stdin.isTerminal) {
    throw misuse("MESSAGE is missing: pass it as an operand, or on standard input");
  }
  const text = operand === undefined || operand === "-" ? await readStandardInput(host) : operand;
  if (text === "") throw misuse("MESSAGE must not be empty");
  return text;
}

async function readStandardInput({ stdin, stderr, interrupted }: Host): Promise<string> {
  if (stdin.isTerminal && stderr.isTerminal) await stderr.write("Message (end with Ctrl-D):\n");
  const bytes = await stdin.read(maxBodyBytes);
  interrupted.throwIfAborted();
  if (bytes === null) throw misuse("MESSAGE must have at most 1,048,576 bytes");
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes).replace(/\r?\n$/, "");
  } catch {
    throw misuse("MESSAGE must be text in UTF-8");
  }
}
