import { checkValue, type Endpoint } from "@letta-environments/schema";
import { LettaEnvironmentsError } from "../error.ts";
import type { TransportRequest, TransportResponse } from "../transport-request.ts";

/** Checks an answer by the endpoint's schema; unknown members and enum values are kept. */
export function readAnswer<Answer>(
  endpoint: Pick<Endpoint<never, never, Answer>, "response">,
  request: TransportRequest,
  { status, headers, value }: TransportResponse,
): Answer {
  if (endpoint.response === null) throw new TypeError("the endpoint has no answer");
  const checked = checkValue(endpoint.response, value, "body", { firstIssueOnly: true });
  if (checked.ok) return checked.value;
  const requestId = headers.get("x-request-id");
  throw new LettaEnvironmentsError({
    code: "invalid_response",
    message: `The answer has another shape: ${checked.issues.map(({ member, rule }) => `${member} ${rule}`).join("; ")}.`,
    retryable: false,
    status,
    issues: checked.issues,
    clientMessageIds: request.clientMessageIds,
    ...(requestId !== null && { requestId }),
  });
}
