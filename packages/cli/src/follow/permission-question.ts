/** Handles one request for permission of a followed turn: asks on a terminal, and otherwise says how to decide. */
import { type Approval, type ApprovalVerdict, isLettaEnvironmentsError } from "@letta-environments/client";
import type { CommandContext } from "../context.ts";
import { describeDecision, describeFailure, sentDecision } from "../failure.ts";
import { describeCall, describeCut, describeOtherMembers } from "../format/approval.ts";
import { describeCommands } from "../format/decision-commands.ts";
import type { EnvironmentOperations } from "../operations.ts";
import type { DialogueLines, DialoguePrinter } from "./dialogues.ts";

/** Where a question is asked, and how it is decided. */
export interface PermissionQuestionOptions {
  readonly context: CommandContext;
  readonly operations: Pick<EnvironmentOperations, "decide">;
  readonly printer: DialoguePrinter;
  /** Whether somebody can be asked. */
  readonly isInteractive: boolean;
}

/** Returns a function that resolves with whether nothing is left to do about a request; otherwise its question ended without an answer. */
export function createPermissionQuestion({
  context,
  operations,
  printer,
  isInteractive,
}: PermissionQuestionOptions): (approval: Approval, cancelled: AbortSignal) => Promise<boolean> {
  const { host } = context;

  /** Resolves with `null` if the question was cancelled. */
  async function readVerdict(
    lines: DialogueLines,
    approval: Approval,
    cancelled: AbortSignal,
  ): Promise<ApprovalVerdict | "elsewhere" | null> {
    const { suggestions } = approval;
    await printDetails(lines, approval);
    for (const [index, { text }] of suggestions.entries())
      await lines.detail(`${index + 1} also grants, from now on: ${text}`);
    const answers = ["y", "n", ...suggestions.map((_, index) => index + 1)].join("/");
    const question = `Allow ${describeCall(approval)}? [${answers}]`;
    for (;;) {
      const answer = await host.stdin.readLine(() => void lines.question(question), cancelled);
      if (answer === null) {
        await lines.line("");
        if (cancelled.aborted || host.interrupted.aborted) return null;
        // The end of the input, such as Ctrl-D.
        await printCommands(lines, approval);
        return "elsewhere";
      }
      const suggestion = /^[1-9]\d?$/.test(answer) ? suggestions[Number(answer) - 1] : undefined;
      if (suggestion !== undefined) return { approve: true, suggestions: [suggestion.id] };
      if (/^(?:y|yes|n|no)$/i.test(answer)) return { approve: /^y/i.test(answer) };
    }
  }

  /** Resolves with whether there is nothing left to decide here. */
  async function decide(approval: Approval, verdict: ApprovalVerdict): Promise<boolean> {
    try {
      await operations.decide(approval, verdict);
      return true;
    } catch (error) {
      if (host.interrupted.aborted) return true;
      const decided = isLettaEnvironmentsError(error) ? describeDecision(error) : null;
      await printer.line(decided ?? describeFailure(error, context, sentDecision(error)).message, "yellow");
      return decided !== null;
    }
  }

  return async (approval, cancelled) => {
    if (!isInteractive) {
      await printer.detail(`waiting for permission to use ${describeCall(approval)}`, "yellow");
      await printDetails(printer, approval);
      await printCommands(printer, approval);
      return true;
    }
    for (;;) {
      const answer = await printer.dialogue(cancelled, (lines, ended) => readVerdict(lines, approval, ended));
      if (answer === null) return false;
      if (answer === "elsewhere" || (await decide(approval, answer))) return true;
    }
  };
}

type Lines = Pick<DialogueLines, "line" | "detail">;

async function printDetails(lines: Lines, approval: Approval): Promise<void> {
  const { reason, input } = approval;
  // The device writes the reason, so it must not be able to look like another line.
  if (reason !== null && reason !== "") await lines.detail(`reason: ${reason}`);
  for (const line of describeOtherMembers(input)) await lines.detail(line);
  const cut = describeCut(approval);
  if (cut !== null) await lines.line(cut, "yellow");
}

async function printCommands(lines: Lines, approval: Approval): Promise<void> {
  for (const { label, line } of describeCommands(approval)) {
    if (label !== null) await lines.detail(label);
    await lines.line(line);
  }
}
