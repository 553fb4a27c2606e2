/** `approvals`: lists the tool calls that wait for permission, and decides on one by its id. */
import { type Approval, isLettaEnvironmentsError } from "@letta-environments/client";
import {
  CommandError,
  formatColumns,
  formatTime,
  misuse,
  parseTime,
  printable,
} from "@letta-environments/command-line";
import { type CommandContext, printResult } from "../context.ts";
import { exitCodes } from "../exit-code.ts";
import { describeDecision, describeFailure, sentDecision } from "../failure.ts";
import { describeInput, formatApprovalLines, formatApprovalTable, formatSuggestions } from "../format/approval.ts";

/** `letta-env approvals [list | allow ID | deny ID]`. */
export async function approvalsCommand(context: CommandContext): Promise<number> {
  const [action = "list", id] = context.parsed.operands;
  switch (action) {
    case "list":
      if (context.parsed.options.has("suggestion")) throw misuse("--suggestion needs 'approvals allow'");
      if (context.parsed.options.has("requested-at"))
        throw misuse("--requested-at needs 'approvals allow' or 'approvals deny'");
      if (id !== undefined) throw misuse("'approvals list' takes no ID");
      return list(context);
    case "allow":
    case "deny":
      if (id === undefined) throw misuse(`'approvals ${action}' needs ID`);
      if (action === "deny" && context.parsed.options.has("suggestion"))
        throw misuse("--suggestion needs 'approvals allow'");
      return decide(context, id, action === "allow");
    default:
      throw misuse("ACTION must be list, allow or deny");
  }
}

async function list(context: CommandContext): Promise<number> {
  const { host, paint } = context;
  const operations = await context.connect();
  const approvals = select(context, await operations.approvals());
  await printResult(context, {
    json: { approvals },
    people: () =>
      approvals.length === 0
        ? "Nothing waits for permission.\n"
        : formatApprovalTable(approvals, operations.now(), host.stdout.columns(), paint),
    columns: () => formatApprovalLines(approvals),
  });
  return exitCodes.done;
}

async function decide(context: CommandContext, id: string, approve: boolean): Promise<number> {
  const { option, parsed } = context;
  const suggestions = parsed.options.get("suggestion") ?? [];
  const reason = option("reason");
  const requestedAt = readRequestedAt(option("requested-at"));
  const operations = await context.connect();
  const waiting = select(context, await operations.approvals()).filter((approval) => approval.id === id);
  const approval = findRequest(waiting, requestedAt);
  const granted = readSuggestions(approval, suggestions);
  try {
    await operations.decide(approval, { approve, reason, ...(suggestions.length > 0 && { suggestions }) });
  } catch (error) {
    const decided = isLettaEnvironmentsError(error) ? describeDecision(error) : null;
    if (decided === null) throw describeFailure(error, context, sentDecision(error));
    throw new CommandError(decided, exitCodes.refused, { cause: error });
  }
  const decision = approve ? "allowed" : "denied";
  const { tool, input, deviceId } = approval;
  await printResult(context, {
    json: { decision, id, deviceId, ...(suggestions.length > 0 && { suggestions }) },
    people: () =>
      `${approve ? "Allowed" : "Denied"} ${printable(`${tool} ${describeInput(input)}`.trim())}\n${granted}`,
    columns: () => formatColumns([decision, id, deviceId]),
  });
  return exitCodes.done;
}

/** The time of the request that somebody saw, in one of the forms of the lists: RFC 3339, or the epoch milliseconds of `--json`. */
function readRequestedAt(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  // Durations and dates are times for other options, but no request has such a time.
  const timeMs = /^\d{1,16}$/.test(text) ? Number(text) : text.includes(":") ? parseTime(text, 0, 1) : null;
  if (timeMs !== null) return timeMs;
  throw misuse(
    "--requested-at must be the time of a request as 'letta-env approvals' prints it, such as 2027-01-31T18:00:00.000Z",
  );
}

/** Selects the request from `waiting`, which all have the same id. @throws CommandError if none has that time, or several match */
function findRequest(waiting: readonly Approval[], requestedAt: number | undefined): Approval {
  const found = waiting.filter((approval) => requestedAt === undefined || approval.requestedAt === requestedAt);
  const [approval, ...others] = found;
  if (approval === undefined)
    throw new CommandError(
      waiting.length === 0
        ? "no such request waits for permission"
        : "this id now belongs to another request, so nothing was decided; 'letta-env approvals' lists it",
      exitCodes.notFound,
    );
  if (others.length > 0)
    throw misuse(
      `${found.length} requests have this id; select one with --agent, --conversation or --requested-at:`,
      found.map((each) =>
        ["", each.deviceId, each.agentId ?? "", each.conversationId, formatTime(each.requestedAt)].join("  "),
      ),
    );
  return approval;
}

/** The lasting permissions that are granted, for people. @throws CommandError for one that the request does not suggest */
function readSuggestions({ suggestions }: Approval, ids: readonly string[]): string {
  return ids
    .map((id) => {
      const found = suggestions.find((each) => each.id === id);
      if (found !== undefined) return `Granted from now on: ${printable(found.text)}\n`;
      if (suggestions.length === 0) throw misuse("the request suggests no lasting permission");
      throw misuse("--suggestion must be one that the request suggests:", formatSuggestions(suggestions));
    })
    .join("");
}

function select({ option }: CommandContext, approvals: readonly Approval[]): readonly Approval[] {
  const agent = option("agent");
  const conversation = option("conversation");
  return approvals.filter(
    ({ agentId, conversationId }) =>
      (agent === undefined || agentId === agent) && (conversation === undefined || conversationId === conversation),
  );
}
