/** Decisions on requests for permission. */
import { type Approval, decideApproval, isLettaEnvironmentsError } from "@letta-environments/client";
import { printable } from "@letta-environments/command-line/printable";
import { signal } from "@preact/signals";
import { failureText, transport } from "./api.ts";
import { approvals, questionOf } from "./approvals.ts";
import { shownNameOf } from "./device-list.ts";
import { toast } from "./toasts.ts";

/** Requests whose decision is being sent, by {@link questionOf}. */
export const deciding = signal<ReadonlySet<string>>(new Set());

/**
 * Sends a decision. Resolves with whether the request is over: decided now, or before.
 *
 * @param suggestion the lasting permission to grant as well, from the suggestions of the request
 */
export async function decide(
  approval: Approval,
  approve: boolean,
  reason: string,
  suggestion?: string,
): Promise<boolean> {
  const question = questionOf(approval);
  if (deciding.value.has(question)) return false;
  deciding.value = new Set([...deciding.value, question]);
  try {
    await decideApproval(transport, approval, {
      approve,
      ...(reason !== "" && { reason }),
      ...(suggestion !== undefined && { suggestions: [suggestion] }),
    });
    approvals.value = approvals.value.filter((other) => questionOf(other) !== question);
    const device = shownNameOf(approval.deviceId);
    toast("good", `${approve ? "Allowed" : "Denied"} ${printable(approval.tool)} on ${device}`);
    return true;
  } catch (error) {
    const isOver =
      isLettaEnvironmentsError(error) && (error.code === "approval_decided" || error.code === "approval_not_found");
    if (isOver) approvals.value = approvals.value.filter((other) => questionOf(other) !== question);
    toast("bad", isOver ? "It was already decided, or the device no longer asks." : describe(error));
    return isOver;
  } finally {
    deciding.value = new Set([...deciding.value].filter((other) => other !== question));
  }
}

/** The gateway recognises the same decision again, and refuses another one. */
function describe(error: unknown): string {
  if (!isLettaEnvironmentsError(error) || error.outcome === "refused") return failureText(error);
  return "It is not known whether the device received the decision. Decide again: it counts once.";
}
