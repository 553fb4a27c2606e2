/**
 * The response to a body if only its first parts were delivered. The codes of ordinary refusals promise that nothing was sent, so clients retry.
 * This response therefore has a code without that promise, and the member `parts` has the code of the part that failed.
 */
import { type PlainResponse, type ProblemIssue, problemResponse } from "@letta-environments/schema";

/** The members of a problem that this file reads. */
interface PartProblem {
  readonly errorCode: string;
  readonly detail: string;
  readonly errors?: readonly ProblemIssue[];
}

/** The result of a part whose caller disconnected before it was sent. Its code only carries the text: it is logged, and nobody receives it. */
export const unsentAfterDisconnect: PlainResponse = problemResponse("input_rejected", {
  detail: "The caller disconnected before it was sent.",
});

/**
 * Builds the response: 504 `delivery_unknown` if the failed part may have been delivered too, else 409 `input_rejected`. Clients do not retry
 * either one automatically.
 *
 * @param response the response to the part that failed: a problem
 */
export function partialResponse(response: PlainResponse, deliveredCount: number, count: number): PlainResponse {
  const { errorCode, detail, errors: issues }: PartProblem = JSON.parse(String(response.body));
  // That is true of this part only.
  const text = detail.replace(/[.;] nothing was (?:sent|changed)\./i, ".");
  return problemResponse(errorCode === "delivery_unknown" ? "delivery_unknown" : "input_rejected", {
    detail:
      `${deliveredCount} of ${count} parts of the body were delivered. The next one ended with ${errorCode}: ` +
      `${/[.!?]$/.test(text) ? text : `${text}.`} ` +
      `A repeat of the same body does not deliver ${deliveredCount === 1 ? "this part" : "these parts"} again.`,
    ...(issues !== undefined && { issues }),
    members: { parts: { count, delivered: deliveredCount, errorCode } },
  });
}
