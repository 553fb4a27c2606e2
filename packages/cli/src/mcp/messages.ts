/** The tools that send a message and report what became of it. */
import type { McpServer } from "@modelcontextprotocol/server";
import * as v from "valibot";
import {
  agentIdRule,
  connectionIdRule,
  conversationIdRule,
  defaultWaitSeconds,
  deviceRule,
  maxWaitSeconds,
  messageIdRule,
  waitSecondsRule,
} from "./rules.ts";
import { sendAndWait } from "./send.ts";
import { describeSchema, runTool, type ToolSession } from "./tool.ts";
import { awaitTurn, describeTurn, turnRules } from "./turn.ts";

const sendInput = describeSchema(
  v.strictObject({
    device: deviceRule(),
    agentId: v.optional(agentIdRule()),
    conversationId: v.optional(conversationIdRule()),
    message: v.pipe(v.string(), v.minLength(1), v.maxLength(500_000), v.description("The text for the agent.")),
    messageId: v.optional(
      messageIdRule(
        "An id of your choice, to repeat a send safely: a message that is sent twice with one id runs once.",
      ),
    ),
    waitSeconds: v.optional(
      waitSecondsRule(
        `For how long to wait for the end of the turn, at most ${maxWaitSeconds}. Default ${defaultWaitSeconds}; 0 returns when the device has accepted the message.`,
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
    turn: v.nullable(turnRules),
    note: v.optional(v.string()),
  }),
);

const statusInput = describeSchema(
  v.strictObject({
    connectionId: connectionIdRule("The connectionId that send_message returned."),
    messageId: messageIdRule("The messageId that send_message returned."),
    agentId: v.optional(agentIdRule()),
    conversationId: v.optional(conversationIdRule()),
    waitSeconds: v.optional(
      waitSecondsRule(`For how long to wait for the end of the turn, at most ${maxWaitSeconds}. Default 0.`),
    ),
  }),
);

/** Adds `send_message` and `message_status`. */
export function registerMessageTools(server: McpServer, session: ToolSession): void {
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
  server.registerTool(
    "message_status",
    {
      title: "Status of a message",
      description:
        "Reports what became of a message: its state, how its turn ended, and the agent's last text. With waitSeconds it waits for the end of the turn. It returns early when the turn waits for a permission. Needs the scope read, and view for the text.",
      inputSchema: statusInput,
      outputSchema: describeSchema(turnRules),
      annotations: { readOnlyHint: true, openWorldHint: true },
    },
    (input, context) =>
      runTool(session, context, async (call) => {
        const { connectionId, messageId, agentId, conversationId, waitSeconds = 0 } = input;
        const conversation = {
          ...(agentId !== undefined && { agentId }),
          ...(conversationId !== undefined && { conversationId }),
        };
        return describeTurn(await awaitTurn(call, { connectionId, messageId, conversation, waitSeconds }));
      }),
  );
}
