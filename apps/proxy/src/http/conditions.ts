/**
 * The preconditions of requests (RFC 9110 section 13): whether a caller already has a response, and whether a change may be made. Changes of keys are
 * elsewhere, since `admin/key-changes.ts` compares their tags inside the store's step.
 */
import { type PlainResponse, problemResponse } from "@letta-environments/schema";
import type { GatewayRequest } from "./gateway-request.ts";

/**
 * Returns 304 if the caller already has the response (RFC 9110, section 13.1.2), else the response itself. The 304 has no body, and every header of the
 * response but `content-type`.
 */
export function notModified(response: PlainResponse, ifNoneMatch: string | null): PlainResponse {
  const tag = response.headers["etag"];
  if (ifNoneMatch === null || tag === undefined || response.status !== 200) return response;
  if (!listsTag(ifNoneMatch, tag)) return response;
  const { "content-type": _type, ...headers } = response.headers;
  return { status: 304, headers, body: null };
}

/**
 * Whether `If-None-Match` lists the entity tag of something that exists. Weak and strong tags are compared alike (RFC 9110
 * section 13.1.2). In a malformed list, the valid tags still count.
 */
export function listsTag(ifNoneMatch: string, tag: string): boolean {
  if (ifNoneMatch.trim() === "*") return true;
  const listed = ifNoneMatch.match(/(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*"/g) ?? [];
  return listed.some((known) => opaque(known) === opaque(tag));
}

function opaque(tag: string): string {
  return tag.startsWith("W/") ? tag.slice(2) : tag;
}

/** The header fields of a request that make it conditional. */
export interface Preconditions {
  readonly ifMatch: string | null;
  readonly ifNoneMatch: string | null;
}

export function readPreconditions(request: Pick<GatewayRequest, "header">): Preconditions {
  return { ifMatch: request.header("if-match"), ifNoneMatch: request.header("if-none-match") };
}

/**
 * Refuses a request, also a read, whose precondition fails (RFC 9110 sections 13.1.1 and 13.1.2); else returns `null`. Only gateway keys have a strong
 * entity tag, and `If-Match` ignores weak ones. So for everything else `If-Match` can only be `*`: the resource must exist, and a missing one is 404
 * anyway. `If-None-Match: *` on a change means that the device must not exist. {@link notModified} evaluates the `If-None-Match` of reads.
 */
export function refusePrecondition(method: string, { ifMatch, ifNoneMatch }: Preconditions): PlainResponse | null {
  if (ifMatch !== null && ifMatch.trim() !== "*") return noStrongTag;
  if (method !== "PATCH" && method !== "DELETE") return null;
  return ifNoneMatch?.trim() === "*" ? mayExist : null;
}

const noStrongTag = problemResponse("precondition_failed", {
  detail: "If-Match can only be *, because only gateway keys have a strong entity tag. Nothing was changed.",
  issues: [{ member: "if-match", rule: "must be * or absent" }],
});

const mayExist = problemResponse("precondition_failed", {
  detail:
    "If-None-Match: * means 'only if it does not exist yet', but it exists. Omit the header to change or remove it. Nothing was changed.",
  issues: [{ member: "if-none-match", rule: "must not be *" }],
});
