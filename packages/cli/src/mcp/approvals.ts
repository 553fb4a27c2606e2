/** The tools that list requests for permission and decide about one. */
import { type Approval, isLettaEnvironmentsError } from "@letta-environments/client";
import { CommandError, formatTime } from "@letta-environments/command-line";
import type { McpServer } from "@modelcontextprotocol/server";
import * as v from "valibot";
import { exitCodes } from "../exit-code.ts";
import { describeDecision, describeError } from "../failure.ts";
import { conversationFilter, idSchema, limitSchema, textSchema } from "./schemas.ts";
import { escapeHidden, escapeInput, shortenInput, showText } from "./texts.ts";
import { describeSchema, type InputOf, runTool, type ToolCall, type ToolOutput, type ToolSession } from "./tool.ts";

const defaultLimit = 20;
/** The largest number of characters of an input in a list, as JSON. */
const maxListedLength = 2_000;
const maxListedReasonLength = 1_000;
const maxReasonLength = 10_000;
const maxToolLength = 200;

const listInput = describeSchema(
  v.strictObject({
    id: v.optional(
      v.pipe(v.string(), v.description("Only the request with this id, with as much of its input as the server has.")),
    ),
    deviceId: v.optional(v.pipe(v.string(), v.description("Only requests of this device."))),
    ...conversationFilter(),
    limit: v.optional(
      limitSchema(
        100,
        `The maximum number of requests. Default ${defaultLimit}. If hasMore is true, a higher limit or deviceId returns others.`,
      ),
    ),
  }),
);

const listOutput = describeSchema(
  v.object({
    approvals: v.array(
      v.object({
        id: v.pipe(v.string(), v.description("Pass it to answer_approval, with requestedAt.")),
        tool: v.string(),
        input: v.pipe(
          v.nullable(v.record(v.string(), v.unknown())),
          v.description("What the tool would run with. null with inputTruncated: it is too long to be shown."),
        ),
        inputTruncated: v.pipe(
          v.boolean(),
          v.description(
            "The input is longer than shown; the device runs all of it. list_approvals with the id shows more. Tell the user before they decide.",
          ),
        ),
        inputHasHiddenCharacters: v.pipe(
          v.boolean(),
          v.description(
            "The input has characters that are invisible, change the text direction or only look like a space; here they are escaped. Tell the user before they decide.",
          ),
        ),
        reason: v.nullable(v.string()),
        deviceId: v.string(),
        online: v.boolean(),
        agentId: v.nullable(v.string()),
        conversationId: v.string(),
        messageId: v.nullable(v.string()),
        requestedAt: v.string(),
      }),
    ),
    hasMore: v.boolean(),
  }),
);

const answerInput = describeSchema(
  v.strictObject({
    id: idSchema("The id of a request in list_approvals."),
    decision: v.pipe(v.picklist(["allow", "deny"]), v.description("allow runs the tool on the device.")),
    reason: v.optional(textSchema(10_000, "A reason that the agent receives.")),
    requestedAt: v.pipe(
      v.string(),
      v.description(
        "The requestedAt of the request that the user saw, from list_approvals. A later request with the same id is not decided.",
      ),
    ),
    deviceId: v.optional(v.pipe(v.string(), v.description("Needed if requests of several devices have the id."))),
    agentId: v.optional(idSchema("Needed if several requests of a device have the id.")),
    conversationId: v.optional(idSchema("Needed if several requests of an agent have the id.")),
  }),
);

const answerOutput = describeSchema(
  v.object({ decision: v.string(), id: v.string(), tool: v.string(), deviceId: v.string() }),
);

/** Adds `list_approvals` and `answer_approval`. */
export function registerApprovalTools(server: McpServer, session: ToolSession): void {
  server.registerTool(
    "list_approvals",
    {
      title: "List requests for permission",
      description:
        "Lists the tool calls that wait for a person's permission, on every device that the key can reach, the oldest first. Long inputs are shortened, unless id names the request. Needs the scope approve.",
      inputSchema: listInput,
      outputSchema: listOutput,
      annotations: { readOnlyHint: true, openWorldHint: true },
    },
    (input, context) =>
      runTool(session, context, async (call) => {
        const { id, limit = defaultLimit } = input;
        const found = await select(call, input);
        const approvals = found.slice(0, limit).map((approval) => describeApproval(approval, id === undefined));
        return { approvals, hasMore: found.length > limit };
      }),
  );
  server.registerTool(
    "answer_approval",
    {
      title: "Answer a request for permission",
      description:
        "Allows or denies one tool call that waits for permission. Allowing it runs the tool on the device: ask the user first. The first decision counts. Needs the scopes approve and send.",
      inputSchema: answerInput,
      outputSchema: answerOutput,
      annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: false, openWorldHint: true },
    },
    (input, context) => runTool(session, context, (call) => answer(call, input)),
  );
}

async function select(
  { operations }: ToolCall,
  wanted: Omit<InputOf<typeof listInput>, "limit">,
): Promise<readonly Approval[]> {
  // Results have the ids with escapes.
  const fits = (value: string | null, other: string | undefined): boolean =>
    other === undefined || value === other || (value !== null && escapeHidden(value) === other);
  return (await operations.approvals()).filter(
    ({ id, deviceId, agentId, conversationId }) =>
      fits(id, wanted.id) &&
      fits(deviceId, wanted.deviceId) &&
      fits(agentId, wanted.agentId) &&
      fits(conversationId, wanted.conversationId),
  );
}

async function answer(call: ToolCall, input: InputOf<typeof answerInput>): Promise<ToolOutput> {
  const { id, decision, reason, requestedAt } = input;
  const waiting = await select(call, input);
  const found = waiting.filter((approval) => formatTime(approval.requestedAt) === requestedAt);
  const [approval, ...others] = found;
  if (approval === undefined) {
    throw new CommandError(
      waiting.length === 0
        ? "no such request waits for permission; list_approvals has those that do"
        : "this id now belongs to another request, so nothing was decided; list_approvals has it: show it to the user",
      exitCodes.notFound,
    );
  }
  if (others.length > 0) {
    throw new CommandError(
      `${found.length} requests have this id; select one with deviceId, agentId and conversationId:`,
      exitCodes.misused,
      {
        details: found.map(
          ({ deviceId, agentId, conversationId }) =>
            `deviceId ${deviceId}, agentId ${agentId ?? "none"}, conversationId ${conversationId}`,
        ),
      },
    );
  }
  try {
    await call.operations.decide(approval, { approve: decision === "allow", reason });
  } catch (error) {
    if (!isLettaEnvironmentsError(error)) throw error;
    const decided = describeDecision(error);
    if (decided === null && error.outcome === "unknown") {
      throw new CommandError(describeError(error, "the server", "decision"), exitCodes.unknown, {
        cause: error,
        details: [
          "It is not known whether the device received the decision: list_approvals shows whether the request still waits.",
        ],
      });
    }
    if (decided === null) throw error;
    throw new CommandError(decided, exitCodes.refused, { cause: error });
  }
  return { decision, id, tool: showText(approval.tool, maxToolLength), deviceId: approval.deviceId };
}

function describeApproval(approval: Approval, isShort: boolean): ToolOutput {
  const { id, tool, input, inputTruncated, reason, deviceId, connectionId, agentId, conversationId } = approval;
  const visible = input === null ? null : escapeInput(input);
  const shown = isShort && visible !== null ? shortenInput(visible, maxListedLength) : visible;
  return {
    id,
    tool: showText(tool, maxToolLength),
    input: shown,
    inputTruncated: inputTruncated || shown !== visible,
    inputHasHiddenCharacters: JSON.stringify(visible) !== JSON.stringify(input),
    reason: reason === null ? null : showText(reason, isShort ? maxListedReasonLength : maxReasonLength),
    deviceId,
    online: connectionId !== null,
    agentId,
    conversationId,
    messageId: approval.clientMessageId,
    requestedAt: formatTime(approval.requestedAt),
  };
}
