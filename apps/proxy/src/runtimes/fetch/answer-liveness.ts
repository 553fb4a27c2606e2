import { randomId } from "@letta-environments/platform/node";
import { webRequestTarget } from "../../adapters/web/web-request-target.ts";
import { answerHealth } from "../../answer-health.ts";
import { finishResponse } from "../../finish-response.ts";
import { toResponse } from "../../hono/to-response.ts";
import { resolveRequestId } from "../../request-id.ts";

/** The answer of `/livez`, which waits for no store; `null` for every other path. Whether requests can be served is what `/readyz` tells. */
export function answerLiveness({ method, url, headers }: Request): Response | null {
  const { path } = webRequestTarget(url);
  const health = path === "/livez" ? answerHealth(method, path, null) : null;
  if (health === null) return null;
  const requestId = resolveRequestId(headers.get("x-request-id"), randomId);
  return toResponse(finishResponse(health, requestId, method));
}
