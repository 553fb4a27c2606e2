/** How requests for permission are printed. */
import type { Approval, ApprovalSuggestion } from "@letta-environments/client";
import {
  type Column,
  escapeSpaces,
  formatAge,
  formatColumns,
  formatTable,
  formatTime,
  indent,
  joinLines,
  type Paint,
  plain,
  printable,
} from "@letta-environments/command-line";
import { describeCommands, showId } from "./decision-commands.ts";

const columns: readonly Column[] = [
  { title: "ID", shrinks: false },
  { title: "TOOL", shrinks: false },
  { title: "INPUT", shrinks: true },
  { title: "DEVICE", shrinks: false },
  { title: "AGENT", shrinks: true },
  { title: "WAITS", shrinks: false },
];

/** Members of an input that say most about a tool call, the most telling first. */
const mainMembers = ["command", "cmd", "file_path", "path", "url", "query", "pattern"] as const;
/** Texts that no shell reads, and in which unusual spaces are common. */
export const proseMembers: ReadonlySet<string> = new Set([
  "old_string",
  "new_string",
  "old_str",
  "new_str",
  "edits",
  "content",
  "description",
]);

type Input = Readonly<Record<string, unknown>> | null;

function mainMemberOf(input: Input): string | undefined {
  return mainMembers.find((name) => typeof input?.[name] === "string" && input[name] !== "");
}

/** Formats the input of a tool call as one line: its command or path, otherwise all of it as JSON. */
export function describeInput(input: Input): string {
  if (input === null || Object.keys(input).length === 0) return "";
  const name = mainMemberOf(input);
  // An escape does not change a JSON value.
  if (name === undefined) return escapeSpaces(JSON.stringify(input));
  return describeMember(name, input[name]);
}

/**
 * The members that {@link describeInput} leaves out, one per line, such as the new text of an edit. They are indented, with names in
 * quotation marks, because models choose names and texts: none of them may look like a line of this program.
 */
export function describeOtherMembers(input: Input): string[] {
  const main = mainMemberOf(input);
  if (main === undefined) return [];
  return Object.entries(input ?? {}).flatMap(([name, value]) =>
    name === main ? [] : [`  ${escapeSpaces(JSON.stringify(name))}: ${describeMember(name, value)}`],
  );
}

function describeMember(name: string, value: unknown): string {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return proseMembers.has(name) ? text : escapeSpaces(text);
}

/** A tool call as one line: the tool, and what {@link describeInput} shows. */
export function describeCall({ tool, input }: Pick<Approval, "tool" | "input">): string {
  const text = describeInput(input);
  return text === "" ? tool : `${tool}: ${text}`;
}

/** An input for programs: its command or path if there is nothing else, otherwise JSON, so that no member is left out. */
function wholeInput(input: Input): string {
  return describeOtherMembers(input).length === 0 ? describeInput(input) : escapeSpaces(JSON.stringify(input));
}

/** Says that the device runs more than is shown; `null` if it does not. */
export function describeCut({ input, inputTruncated }: Pick<Approval, "input" | "inputTruncated">): string | null {
  if (!inputTruncated) return null;
  return input === null
    ? "The input is too long to be shown."
    : "The input is longer than shown; the device runs all of it.";
}

/** Requests as a table for people. */
export function formatApprovalTable(
  approvals: readonly Approval[],
  nowMs: number,
  width: number | null,
  paint: Paint,
): string {
  const rows = approvals.map(({ id, tool, input, deviceId, agentId, requestedAt }) =>
    [showId(id), tool, describeInput(input), deviceId, agentId ?? "", formatAge(requestedAt, nowMs)].map((text) =>
      plain(text),
    ),
  );
  return formatTable(columns, rows, width, paint) + approvals.map((each) => formatRequest(each, width, paint)).join("");
}

/** The lines of a request below the table: its whole input, which does not fit into a row, and how to decide. */
function formatRequest(approval: Approval, width: number | null, paint: Paint): string {
  const { id, input } = approval;
  const cut = describeCut(approval);
  return joinLines([
    "",
    paint(indent(printable(`Request ${showId(id)}  ${describeCall(approval)}`), width), "bold"),
    ...describeOtherMembers(input).map((line) => indent(printable(line), width)),
    ...(cut === null ? [] : [paint(cut, "yellow")]),
    ...describeCommands(approval).flatMap(({ label, line }) => [
      ...(label === null ? [] : [indent(printable(label), width)]),
      printable(line),
    ]),
  ]);
}

/** Lasting permissions that a request suggests, one per line. */
export function formatSuggestions(suggestions: readonly ApprovalSuggestion[]): string[] {
  return suggestions.map(({ id, text }) => `  ${showId(id)}  ${text}`);
}

/** Requests for programs, one per line. The columns never change their position; `letta-env approvals --help` names them. */
export function formatApprovalLines(approvals: readonly Approval[]): string {
  return approvals
    .map(({ id, tool, input, inputTruncated, deviceId, agentId, conversationId, requestedAt, clientMessageId }) =>
      formatColumns([
        ...[id, tool, wholeInput(input), deviceId, agentId ?? "", conversationId],
        ...[formatTime(requestedAt), clientMessageId ?? "", inputTruncated ? "truncated" : ""],
      ]),
    )
    .join("");
}
