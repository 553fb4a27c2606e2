/** Decisions on requests for permission. */
import { type Approval, decideApproval, isLettaEnvironmentsError } from "@letta-environments/client";
import { signal } from "@preact/signals";
import { printable } from "../model/tool-input.ts";
import { failureText, transport } from "./api.ts";
import { approvals, keyOf } from "./approvals.ts";
import { toast } from "./toasts.ts";

/** Requests whose decision is on its way, by key. */
export const deciding = signal<ReadonlySet<string>>(new Set());

/** Sends a decision. @param suggestion the lasting permission that it also grants, of those that the request suggests */
export async function decide(approval: Approval, approve: boolean, reason: string, suggestion?: string): Promise<void> {
  const key = keyOf(approval);
  if (deciding.value.has(key)) return;
  deciding.value = new Set([...deciding.value, key]);
  try {
    await decideApproval(transport, approval, {
      approve,
      ...(reason !== "" && { reason }),
      ...(suggestion !== undefined && { suggestions: [suggestion] }),
    });
    approvals.value = approvals.value.filter((other) => keyOf(other) !== key);
    toast("good", `${approve ? "Allowed" : "Denied"} ${printable(approval.tool)}`);
  } catch (error) {
    const isOver =
      isLettaEnvironmentsError(error) && (error.code === "approval_decided" || error.code === "approval_not_found");
    if (isOver) approvals.value = approvals.value.filter((other) => keyOf(other) !== key);
    toast("bad", isOver ? "Somebody else has decided, or the device no longer asks." : failureText(error));
  } finally {
    deciding.value = new Set([...deciding.value].filter((other) => other !== key));
  }
}
