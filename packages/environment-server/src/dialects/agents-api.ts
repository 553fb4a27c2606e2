/**
 * A device with the API backend runs its turns through an agents API at the address of this server (`GET /v1/agents/{id}` first), which
 * this server does not have. Its turns end with the error that the server returned for that request, as of 2026-11-26: 0.32.18 reports
 * the `detail` of the problem, 0.25.9 the status and the whole body.
 */
import { problemDefinitions } from "@letta-environments/schema";

const { text } = problemDefinitions.endpoint_not_found;

/** Whether the error of a turn says that this server has no agents API. */
export function saysAgentsApiMissing(error: string): boolean {
  return error.includes(text) || (error.startsWith("404 ") && error.includes("endpoint_not_found"));
}
