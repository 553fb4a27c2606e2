/**
 * The preconditions of requests (RFC 9110 section 13): whether a caller already has a response, and whether a change may be made. Changes of keys are
 * elsewhere, since `admin/key-changes.ts` compares their tags inside the store's step.
 */
import { type PlainResponse, problemResponse } from "@letta-environments/schema";
import { type GatewayRequest, isSafe } from "./gateway-request.ts";

/** Returns 304 if the caller already has the response (RFC 9110, section 13.1.2), else the response itself. */
export function notModified(response: PlainResponse, ifNoneMatch: string | null): PlainResponse {
  const tag = response.headers["etag"];
  if (ifNoneMatch === null || tag === undefined || response.status !== 200) return response;
  const isMatch =
    ifNoneMatch.trim() === "*" ||
    (ifNoneMatch.match(/(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*"/g) ?? []).some((known) => opaque(known) === opaque(tag));
  if (!isMatch) return response;
  const { "content-type": _type, ...headers } = response.headers;
  return { status: 304, headers, body: null };
}

function opaque(tag: string): string {
  return tag.startsWith("W/") ? tag.slice(2) : tag;
}

/**
 * Returns the refusal of a change whose `If-Match` names a version; `null` if the change may be made. Only gateway keys have a strong entity tag, and a
 * weak one never matches (RFC 9110 section 13.1.1). So all that a change of anything else can ask for is `*`, that it exists: it is 404 if it does not.
 */
export function refuseIfMatch(method: string, ifMatch: string | null): PlainResponse | null {
  if (ifMatch === null || isSafe(method) || ifMatch.trim() === "*") return null;
  return noStrongTag;
}

/**
 * Returns the refusal of a request of the API whose precondition does not hold, also of a read (RFC 9110 sections 13.1.1 and 13.1.2). `If-None-Match: *`
 * asks for a change of a device only if it does not exist. The tags in the `If-None-Match` of a read are those of {@link notModified}.
 */
export function refusePrecondition(request: Pick<GatewayRequest, "method" | "header">): PlainResponse | null {
  const ifMatch = request.header("if-match");
  if (ifMatch !== null && ifMatch.trim() !== "*") return noStrongTag;
  if (request.method !== "PATCH" && request.method !== "DELETE") return null;
  return request.header("if-none-match")?.trim() === "*" ? mayExist : null;
}

const noStrongTag = problemResponse("precondition_failed", {
  detail: "If-Match can only be *, because nothing but a gateway key has a strong entity tag. Nothing was changed.",
  issues: [{ member: "if-match", rule: "must be * or absent" }],
});

const mayExist = problemResponse("precondition_failed", {
  detail: "If-None-Match: * does not allow to change or remove what exists. Nothing was changed.",
  issues: [{ member: "if-none-match", rule: "must not be *" }],
});
