/** Lasting permissions: suggestions selected in a decision on a tool call that allow a device more than this call. */
import { type DeviceLimits, isLimitedOnDevices } from "./access.ts";
import { grantsLastingPermission, type SendMessageBody } from "../schemas/message.ts";
import type { PlainResponse } from "../base/plain-http.ts";
import { problemResponse } from "../problems/problem.ts";

/**
 * Returns 403 `insufficient_scope` if a principal that is limited to agents or modes, or whose approval policy denies tools, grants a lasting
 * permission: it would also apply to others, and no policy would apply to the calls that it allows. `null` for any other body.
 */
export function refuseLastingPermission(principal: DeviceLimits, body: SendMessageBody): PlainResponse | null {
  if (!isLimitedOnDevices(principal) || !grantsLastingPermission(body)) return null;
  return problemResponse("insufficient_scope", {
    detail:
      "A key that is limited to agents or modes, or that denies tools, may not select suggestions: they grant lasting permissions.",
  });
}
