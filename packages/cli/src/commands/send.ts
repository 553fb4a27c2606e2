import { misuse } from "../command-error.ts";
import { type ExitCode, exitCodes } from "../exit-code.ts";
import { parseDuration } from "../command-line/parse-duration.ts";
import { deliver } from "../deliver.ts";
import type { CommandContext } from "./command-context.ts";
import { readMessage } from "./read-message.ts";
import { readTarget } from "./read-target.ts";

const defaultWaitMs = 300_000;

/** `letta-env send DEVICE --agent ID MESSAGE`. */
export async function sendCommand(context: CommandContext): Promise<ExitCode> {
  const { host, option } = context;
  const { target, rest } = readTarget(context);
  const waitMs = readWait(option("wait-online"));
  if (waitMs !== null && target.kind === "connection") {
    throw misuse("--wait-online needs DEVICE: a connectionId is never online again");
  }
  const idempotencyKey = option("idempotency-key");
  if (idempotencyKey !== undefined && !/^[\x21-\x7e]{1,255}$/.test(idempotencyKey)) {
    throw misuse("--idempotency-key must be 1 to 255 visible ASCII characters");
  }
  const messageId = option("message-id") ?? host.newId();
  const operations = await context.connect();
  const content = await readMessage(host, rest);
  await deliver(context, operations, {
    target,
    message: { role: "user", content, client_message_id: messageId },
    waitMs,
    idempotencyKey,
  });
  return exitCodes.done;
}

function readWait(text: string | undefined): number | null {
  if (text === undefined) return null;
  return text === "" ? defaultWaitMs : parseDuration("--wait-online", text);
}
