/** `stop` and `mode`: control of a conversation on a device. */
import { isLettaEnvironmentsError, type StopInput } from "@letta-environments/client";
import { formatColumns, misuse, printable } from "@letta-environments/command-line";
import { ceilingModes } from "@letta-environments/schema";
import { type CommandContext, printResult } from "../context.ts";
import { findDevice, type FoundDevice } from "../device.ts";
import { exitCodes } from "../exit-code.ts";
import { describeFailure, offlineError, type SentRequest } from "../failure.ts";
import type { EnvironmentOperations } from "../operations.ts";

/** `letta-env stop DEVICE --agent ID`. */
export async function stopCommand(context: CommandContext): Promise<number> {
  const turn = { ...readConversation(context), runId: context.option("run") };
  const { found, result } = await control(context, (operations, { selector }) => operations.stop(selector, turn));
  const { connectionName, deviceId } = found.environment;
  const { stopped } = result;
  await printResult(context, {
    json: { stopped, deviceId },
    people: () => `${stopped ? "Stopped the turn" : "Nothing was running"} on ${printable(connectionName)}.\n`,
    columns: () => formatColumns([stopped ? "stopped" : "idle", deviceId]),
  });
  return exitCodes.done;
}

/** `letta-env mode DEVICE MODE --agent ID`. */
export async function modeCommand(context: CommandContext): Promise<number> {
  const [, mode = ""] = context.parsed.operands;
  if (!ceilingModes.includes(mode)) throw misuse(`MODE must be one of ${ceilingModes.join(", ")}`);
  const conversation = readConversation(context);
  const { found, result } = await control(context, (operations, { selector }) =>
    operations.setMode(selector, mode, conversation),
  );
  const { connectionName, deviceId } = found.environment;
  await printResult(context, {
    json: { mode: result.mode, deviceId },
    people: () => `The conversation on ${printable(connectionName)} is in mode ${printable(result.mode)} now.\n`,
    columns: () => formatColumns([result.mode, deviceId]),
  });
  return exitCodes.done;
}

function readConversation({ parsed, option }: CommandContext): StopInput {
  const agentId = option("agent");
  const conversationId = option("conversation");
  if (agentId === undefined && conversationId === undefined) throw misuse(`'${parsed.command.name}' needs --agent ID`);
  return { agentId, conversationId };
}

const sentControl: SentRequest = {
  what: "request",
  hint: "Check the device before you run the command again: it would act on whatever runs then.",
};

/** Finds the device and runs an operation on it. Rejects with a `CommandError` when the device is offline. */
async function control<Result>(
  context: CommandContext,
  run: (operations: EnvironmentOperations, found: FoundDevice) => Promise<Result>,
): Promise<{ readonly found: FoundDevice; readonly result: Result }> {
  const operations = await context.connect();
  const found = await findDevice(operations, context.parsed.operands[0] ?? "", "online");
  try {
    return { found, result: await run(operations, found) };
  } catch (error) {
    if (!isLettaEnvironmentsError(error)) throw error;
    if (error.outcome === "unknown") throw describeFailure(error, context, sentControl);
    throw error.code === "device_offline" ? offlineError(found.environment, operations.now()) : error;
  }
}
