/** The tools that report the outcome of a message, and list the messages of a device. */
import type { ListMessagesInput, MessageStatus } from "@letta-environments/client";
import { formatTime } from "@letta-environments/command-line";
import { messageStates } from "@letta-environments/schema";
import type { McpServer } from "@modelcontextprotocol/server";
import * as v from "valibot";
import { findDevice } from "../device.ts";
import { collectMessages } from "../operations.ts";
import {
  conversationFilter,
  deviceSchema,
  idSchema,
  limitSchema,
  maxWaitSeconds,
  textSchema,
  waitSecondsSchema,
} from "./schemas.ts";
import { describeSchema, type InputOf, runTool, type ToolCall, type ToolOutput, type ToolSession } from "./tool.ts";
import { awaitTurn, describeTurn, TurnSchema } from "./turn.ts";

const statusInput = describeSchema(
  v.strictObject({
    connectionId: textSchema(128, "The connectionId that send_message returned."),
    messageId: idSchema("The messageId that send_message returned."),
    agentId: v.optional(idSchema("Needed if the messageId was used with several agents.")),
    conversationId: v.optional(idSchema("Needed if the messageId was used in several conversations.")),
    waitSeconds: v.optional(
      waitSecondsSchema(`How long to wait for the end of the turn, at most ${maxWaitSeconds}. Default 0.`),
    ),
  }),
);

const listInput = describeSchema(
  v.strictObject({
    device: deviceSchema(),
    ...conversationFilter(),
    state: v.optional(v.pipe(v.array(v.picklist(messageStates)), v.description("Only messages in these states."))),
    replies: v.optional(
      v.pipe(
        v.boolean(),
        v.description(
          "Whether to include the agent's last text in each turn. Default false. Long texts are shortened; message_status has all of it.",
        ),
      ),
    ),
    limit: v.optional(limitSchema(100, "The maximum number of messages. Default 20.")),
  }),
);

const listOutput = describeSchema(
  v.object({
    deviceId: v.string(),
    connectionId: v.pipe(
      v.nullable(v.string()),
      v.description("Pass it to message_status; null while the device is offline."),
    ),
    messages: v.array(
      v.intersect([
        v.object({
          messageId: v.string(),
          agentId: v.nullable(v.string()),
          conversationId: v.string(),
          sentAt: v.nullable(v.string()),
        }),
        TurnSchema,
      ]),
    ),
    hasMore: v.boolean(),
  }),
);

async function listMessages({ operations }: ToolCall, input: InputOf<typeof listInput>): Promise<ToolOutput> {
  const { device, agentId, conversationId, state = [], replies = false, limit = 20 } = input;
  const { deviceId, connectionId } = (await findDevice(operations, device, "any")).environment;
  const query: ListMessagesInput = {
    agentId,
    conversationId,
    ...(state.length > 0 && { state }),
    ...(replies && { include: "text" }),
  };
  const { messages, hasMore } = await collectMessages(operations, connectionId ?? deviceId, query, limit);
  return { deviceId, connectionId, messages: messages.map(describeListed), hasMore };
}

/** The largest number of characters of a reply in a list. */
const maxListedLength = 2_000;

function describeListed(message: MessageStatus): ToolOutput {
  const { clientMessageId: messageId, agentId, conversationId, sentAt } = message;
  const sent = sentAt === undefined ? null : formatTime(sentAt);
  return { messageId, agentId, conversationId, sentAt: sent, ...describeTurn(message, maxListedLength) };
}

/** Adds `message_status` and `list_messages`. */
export function registerMessageTools(server: McpServer, session: ToolSession): void {
  server.registerTool(
    "message_status",
    {
      title: "Status of a message",
      description:
        "Reports what became of a message: its state, how its turn ended, and the agent's last text. With waitSeconds it waits for the end of the turn. It returns early when the turn waits for a permission. Needs the scope read, and view for the text.",
      inputSchema: statusInput,
      outputSchema: describeSchema(TurnSchema),
      annotations: { readOnlyHint: true, openWorldHint: true },
    },
    (input, context) =>
      runTool(session, context, async (call) => {
        const { connectionId, messageId, agentId, conversationId, waitSeconds = 0 } = input;
        const conversation = { agentId, conversationId };
        return describeTurn(await awaitTurn(call, { connectionId, messageId, conversation, waitSeconds }));
      }),
  );
  server.registerTool(
    "list_messages",
    {
      title: "List the messages of a device",
      description:
        "Lists the messages that a device received, the latest first, with what became of each: also messages of other callers, and while the device is offline. Needs the scope read, list for names, and view for replies.",
      inputSchema: listInput,
      outputSchema: listOutput,
      annotations: { readOnlyHint: true, openWorldHint: true },
    },
    (input, context) => runTool(session, context, (call) => listMessages(call, input)),
  );
}
