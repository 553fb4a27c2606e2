/** `messages`: lists the messages of a device with outcome and duration. */
import type { ListMessagesInput, MessageStatus } from "@letta-environments/client";
import { misuse } from "@letta-environments/command-line";
import { messageStates } from "@letta-environments/schema";
import { type CommandContext, printResult, readLimit } from "../context.ts";
import { findDevice } from "../device.ts";
import { exitCodes } from "../exit-code.ts";
import { formatMessageLines, formatMessageTable } from "../format/message.ts";
import { collectMessages } from "../operations.ts";

const defaultLimit = 20;

/** `letta-env messages DEVICE`. */
export async function messagesCommand(context: CommandContext): Promise<number> {
  const { host, option, parsed, isJson, paint } = context;
  const limit = readLimit(context, defaultLimit);
  const query = readQuery(context);
  const operations = await context.connect();
  const { environment } = await findDevice(operations, parsed.operands[0] ?? "", "any");
  // A device that is offline has no connection.
  const id = environment.connectionId ?? environment.deviceId;
  const { messages, hasMore } = await collectMessages(operations, id, query, limit);
  await printResult(context, {
    json: { messages, hasMore },
    people: () =>
      messages.length === 0
        ? "There are no messages.\n"
        : formatMessageTable(messages, operations.now(), host.stdout.columns(), paint),
    columns: () => formatMessageLines(messages),
  });
  if (hasMore && !isJson && host.stderr.isTerminal) {
    await host.stderr.write(`There are more messages than these ${messages.length}; --all shows every message.\n`);
  }
  if (option("text") !== undefined && messages.length > 0 && messages.every(isEndedWithoutText)) {
    await host.stderr.write("letta-env: no message has a text; the key may lack the scope 'view'\n");
  }
  return exitCodes.done;
}

function isEndedWithoutText({ state, text }: MessageStatus): boolean {
  return state === "finished" && text === undefined;
}

function readQuery({ option, parsed }: CommandContext): ListMessagesInput {
  const state = (parsed.options.get("state") ?? []).map((given) => {
    const known = messageStates.find((each) => each === given);
    if (known === undefined) throw misuse(`--state must be one of ${messageStates.join(", ")}`);
    return known;
  });
  return {
    agentId: option("agent"),
    conversationId: option("conversation"),
    ...(state.length > 0 && { state }),
    ...(option("text") !== undefined && { include: "text" }),
  };
}
