import { randomId } from "@letta-environments/platform/cloudflare";
import { problemResponse } from "@letta-environments/schema";
import { finishResponse } from "../../finish-response.ts";
import { toResponse } from "../../hono/to-response.ts";

/** The answer to everything while the settings break a rule. Which one is told to the log alone. */
export function notConfigured({ method }: Pick<Request, "method">): Response {
  const response = problemResponse("internal_error", { detail: "The gateway is not configured. Its log says why." });
  return toResponse(finishResponse(response, randomId("req"), method));
}
