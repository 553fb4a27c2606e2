/**
 * The commands that decide on a request for permission, to be pasted into a shell. The device chooses the ids in them, so each command has a line
 * of its own, and an id that a shell does not read as it is gets none.
 */
import type { Approval } from "@letta-environments/client";
import { formatTime, quoteForShell } from "@letta-environments/command-line";

/** A way to decide. */
export interface DecisionLine {
  /** The effect beyond the decision, which may contain texts of the device; `null` if it has none. */
  readonly label: string | null;
  /** A command, or a sentence that says why no command is shown. It must not be wrapped. */
  readonly line: string;
}

const notTypable = "Its id cannot be typed safely: decide in the console, or with 'send --follow' on a terminal.";

/** Says how to decide on a request, and how to grant each of the lasting permissions that it suggests. */
export function describeCommands(approval: Approval): DecisionLine[] {
  const allow = decisionCommand("allow", approval);
  const deny = decisionCommand("deny", approval);
  if (allow === null || deny === null) return [{ label: null, line: notTypable }];
  return [
    { label: null, line: allow },
    { label: null, line: deny },
    ...approval.suggestions.map(({ id, text }) => ({
      label: `To grant from now on as well: ${text}`,
      line: decisionCommand("allow", approval, id) ?? notTypable,
    })),
  ];
}

/** An id of a device as the next word of a command; in quotation marks, as JSON, if it cannot be typed. */
export function showId(id: string): string {
  return isTypable(id) ? id : JSON.stringify(id);
}

/** The command that decides on the request that was shown, but on nothing that the device later asks for under the same id. */
function decisionCommand(action: "allow" | "deny", { id, requestedAt }: Approval, suggestion?: string): string | null {
  if (!isTypable(id) || (suggestion !== undefined && !isTypable(suggestion))) return null;
  const options = [
    `--requested-at ${quoteForShell(formatTime(requestedAt))}`,
    ...(suggestion === undefined ? [] : [`--suggestion=${suggestion}`]),
  ];
  // Options can be added to the end of the usual command, but a word that begins with a dash needs `--` before it.
  const words = id.startsWith("-") ? [...options, "--", id] : [id, ...options];
  return `letta-env approvals ${action} ${words.join(" ")}`;
}

/** A terminal breaks a long command into lines: in quotation marks, a part of an id could look like a command of its own. */
function isTypable(id: string): boolean {
  return quoteForShell(id) === id;
}
