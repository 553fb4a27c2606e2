import { randomId, systemClock } from "@letta-environments/platform/cloudflare";
import { problemResponse } from "@letta-environments/schema";
import { createJsonTelemetry, type LogEvent } from "../../adapters/log.ts";
import { toWebResponse } from "../../host/gateway.ts";
import { finishResponse } from "../../http/response.ts";

/** Writes events as JSON, a line each, to the log of Workers. */
export const log: (event: LogEvent) => void = createJsonTelemetry(
  // oxlint-disable-next-line no-console -- the platform has no other log
  (line) => console.log(line.trimEnd()),
  systemClock.now,
);

/** The answer to everything while the settings break a rule. Which one is told to the log alone. */
export function notConfigured({ method }: Pick<Request, "method">): Response {
  const response = problemResponse("internal_error", { detail: "The gateway is not configured. Its log says why." });
  return toWebResponse(finishResponse(response, randomId("req"), method));
}
