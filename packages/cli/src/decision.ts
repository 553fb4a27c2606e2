import type { EnvironmentsError } from "@letta-environments/client";

/** Describes the decision that came first, from the error of a later one; `null` for any other error. */
export function describeDecision(error: EnvironmentsError): string | null {
  if (error.code === "approval_not_found") return "the request no longer waits for permission";
  if (error.code !== "approval_decided") return null;
  const approval = error.problem?.approval;
  const word = approval?.decision === "allow" ? "allowed" : approval?.decision === "deny" ? "denied" : "decided";
  // The members of a problem are passed on unchecked.
  return `the request was ${word} before${typeof approval?.decidedBy === "string" ? ` by ${approval.decidedBy}` : ""}`;
}
