import type { LettaEnvironmentsError } from "@letta-environments/client";

/** Says which decision came first, from the error of a later one; `null` for any other error. */
export function describeDecision({ code, problem }: LettaEnvironmentsError): string | null {
  if (code === "approval_not_found") return "the request does not wait for permission any more";
  if (code !== "approval_decided") return null;
  const { approval }: { approval?: unknown } = Object(problem);
  const { decision, decidedBy }: { decision?: unknown; decidedBy?: unknown } = Object(approval);
  const word = decision === "allow" ? "allowed" : decision === "deny" ? "denied" : "decided";
  return `the request was ${word} before${typeof decidedBy === "string" ? ` by ${decidedBy}` : ""}`;
}
