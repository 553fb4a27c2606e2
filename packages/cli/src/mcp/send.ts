/** The tool that sends a message: it finds the device, sends at most once, and waits for the end of the turn. */
import { isLettaEnvironmentsError, type SendMessageBody } from "@letta-environments/client";
import { CommandError } from "@letta-environments/command-line";
import { maxBodyBytes } from "@letta-environments/schema";
import type { McpServer } from "@modelcontextprotocol/server";
import * as v from "valibot";
import { buildBody } from "../delivery.ts";
import { findDevice, type FoundDevice } from "../device.ts";
import { exitCodes } from "../exit-code.ts";
import { describeError, offlineError } from "../failure.ts";
import type { Sent } from "../operations.ts";
import {
  defaultWaitSeconds,
  deviceSchema,
  idSchema,
  maxWaitSeconds,
  textSchema,
  waitSecondsSchema,
} from "./schemas.ts";
import { describeSchema, type InputOf, runTool, type ToolCall, type ToolOutput, type ToolSession } from "./tool.ts";
import { awaitTurn, describeTurn, TurnSchema } from "./turn.ts";

const sendInput = describeSchema(
  v.strictObject({
    device: deviceSchema(),
    agentId: v.optional(idSchema("Id of the agent on the device.")),
    conversationId: v.optional(
      idSchema('Id of a conversation of the agent. Default: "default", the agent\'s own conversation.'),
    ),
    message: textSchema(500_000, "The text for the agent, at most 1 MiB in UTF-8."),
    messageId: v.optional(
      idSchema(
        "An id of your choice, to repeat a send safely: a message that is sent twice with the same id runs once.",
      ),
    ),
    waitSeconds: v.optional(
      waitSecondsSchema(
        `How long to wait for the end of the turn, at most ${maxWaitSeconds}. Default ${defaultWaitSeconds}; 0 returns when the device has accepted the message.`,
      ),
    ),
  }),
);

const sendOutput = describeSchema(
  v.object({
    outcome: v.pipe(
      v.string(),
      v.description("started, queued or accepted; duplicate: this messageId was known, and nothing ran again."),
    ),
    messageId: v.string(),
    connectionId: v.pipe(v.string(), v.description("Pass it to message_status, with messageId.")),
    deviceId: v.string(),
    turn: v.nullable(TurnSchema),
    note: v.optional(v.string()),
  }),
);

type SendInput = InputOf<typeof sendInput>;

/** Adds `send_message`. */
export function registerSendTool(server: McpServer, session: ToolSession): void {
  server.registerTool(
    "send_message",
    {
      title: "Send a message to a device",
      description:
        "Sends a message to an agent on a device and waits for the end of its turn. The agent can run commands and change files there. The device must be online. After an error that says the outcome is unknown, call again with the same messageId: it never runs twice. Needs the scopes send and read, and view for the agent's reply.",
      inputSchema: sendInput,
      outputSchema: sendOutput,
      annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: false, openWorldHint: true },
    },
    (input, context) => runTool(session, context, (call) => sendAndWait(call, input)),
  );
}

/** Sends a message and waits for its turn. Rejects with a `CommandError` or a `LettaEnvironmentsError`. */
async function sendAndWait(call: ToolCall, input: SendInput): Promise<ToolOutput> {
  const { host, operations } = call;
  const { device, agentId, conversationId, messageId = host.newId(), waitSeconds = defaultWaitSeconds } = input;
  const body = readBody(input, messageId);
  const found = await findDevice(operations, device, "online");
  const { outcome, connectionId } = await send(call, found, body, messageId);
  if (outcome === "refused") throw new CommandError("the device did not accept the message", exitCodes.refused);
  const sent = { outcome, messageId, connectionId, deviceId: found.environment.deviceId };
  if (waitSeconds === 0) return { ...sent, turn: null };
  const conversation = { agentId, conversationId: conversationId ?? "default" };
  try {
    const turn = await awaitTurn(call, { connectionId, messageId, conversation, waitSeconds });
    return { ...sent, turn: describeTurn(turn) };
  } catch (error) {
    // The message was delivered, which must not look like a failure.
    if (!isLettaEnvironmentsError(error) || error.code === "aborted") throw error;
    const note = `the message was accepted, but its turn cannot be followed: ${describeError(error, "the server")}`;
    return { ...sent, turn: null, note };
  }
}

function readBody({ message, agentId, conversationId }: SendInput, messageId: string): SendMessageBody {
  if (agentId === undefined && conversationId === undefined) {
    throw new CommandError("agentId is needed: the id of the agent on the device", exitCodes.misused);
  }
  const body = buildBody({ role: "user", content: message, client_message_id: messageId }, agentId, conversationId);
  if (new TextEncoder().encode(JSON.stringify(body)).length > maxBodyBytes) {
    throw new CommandError("message must have at most 1 MiB in UTF-8, with its JSON escapes", exitCodes.misused);
  }
  return body;
}

async function send(call: ToolCall, found: FoundDevice, body: SendMessageBody, messageId: string): Promise<Sent> {
  const { operations } = call;
  let isSent = false;
  const settings = { idempotencyKey: undefined, waitMs: 0, onSend: () => void (isSent = true) };
  try {
    return await operations.sendToDevice(found.selector, body, settings);
  } catch (error) {
    if (!isLettaEnvironmentsError(error)) throw error;
    if (error.code === "device_offline" && error.status === undefined) {
      throw offlineError(error.environments?.[0] ?? found.environment, operations.now(), { cause: error });
    }
    if (!isSent || error.outcome === "refused") throw error;
    throw new CommandError(describeError(error, "the server", "message"), exitCodes.unknown, {
      cause: error,
      details: [
        `It is not known whether the device received the message. Call send_message again with the same arguments and messageId "${messageId}": the message runs once.`,
      ],
    });
  }
}
