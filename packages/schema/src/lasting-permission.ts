/** Lasting permissions: suggestions that a decision on a tool call selects, and which allow a device more than this call. */
import { isLimitedToAgentsOrModes } from "./access.ts";
import { grantsLastingPermission, type SendMessageBody } from "./message.ts";
import type { PlainResponse } from "./plain-http.ts";
import type { Principal } from "./principal.ts";
import { problemResponse } from "./problem.ts";

/**
 * Returns 403 `insufficient_scope` for a body that grants a lasting permission, of a principal that is limited to agents or modes, or whose
 * approval policy denies tools: the permission would also count for others, and no policy decides on what it allows. `null` for any other
 * body.
 */
export function refuseLastingPermission(
  principal: Partial<Pick<Principal, "agentIds" | "maxMode" | "setMode" | "approvalPolicy">>,
  body: SendMessageBody,
): PlainResponse | null {
  const isLimited = isLimitedToAgentsOrModes(principal) || (principal.approvalPolicy?.deniedTools.length ?? 0) > 0;
  if (!isLimited || !grantsLastingPermission(body)) return null;
  return problemResponse("insufficient_scope", {
    detail:
      "A key that is limited to agents or modes, or that denies tools, may not select suggestions: they grant lasting permissions.",
  });
}
