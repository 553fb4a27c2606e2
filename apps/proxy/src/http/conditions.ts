/** The preconditions of requests (RFC 9110 section 13), apart from changes of keys: `admin/key-changes.ts` compares their tags inside the store's step. */
import { type PlainResponse, problemResponse } from "@letta-environments/schema";
import { isSafe } from "./gateway-request.ts";

/**
 * Returns the refusal of a change whose `If-Match` names a version; `null` if the change may be made. Only gateway keys have a strong entity tag, and a
 * weak one never matches (RFC 9110 section 13.1.1). So all that a change of anything else can ask for is `*`, that it exists: it is 404 if it does not.
 */
export function refuseIfMatch(method: string, ifMatch: string | null): PlainResponse | null {
  if (ifMatch === null || isSafe(method) || ifMatch.trim() === "*") return null;
  return noStrongTag;
}

const noStrongTag = problemResponse("precondition_failed", {
  detail: "If-Match can only be *, because nothing but a gateway key has a strong entity tag. Nothing was changed.",
  issues: [{ member: "if-match", rule: "must be * or absent" }],
});
