/** Applies the policies of keys and tenants to a request for permission: whether it is denied automatically, and when. Only denies; never allows. */
import { type ApprovalPolicy, matchesNamePattern } from "@letta-environments/schema";
import type { ApprovalExpiry, ApprovalPolicyName, StoredApproval } from "../approval-log.ts";

/** Returns when a request is denied, and by which policy; `null` when no policy denies it. The earliest deadline counts. */
export function expiryOf(
  policies: readonly (ApprovalPolicy | null | undefined)[],
  tool: string,
  requestedAt: number,
): ApprovalExpiry | null {
  const known = policies.filter((policy) => policy !== null && policy !== undefined);
  if (known.some(({ deniedTools }) => deniedTools.some((pattern) => matchesNamePattern(pattern, tool)))) {
    return { at: requestedAt, policy: "denied_tool" };
  }
  const deadlines = known.flatMap(({ deadlineMs }) => (deadlineMs === null ? [] : [deadlineMs]));
  return deadlines.length === 0 ? null : { at: requestedAt + Math.min(...deadlines), policy: "deadline" };
}

/** The text that the device, and with it the model, receives. */
export function denialText(
  policy: ApprovalPolicyName,
  { request, requestedAt, expiry }: Pick<StoredApproval, "request" | "requestedAt" | "expiry">,
): string {
  if (policy === "denied_tool") return `A rule of the environment server does not allow the tool ${request.tool}.`;
  // A deadline does not begin again when the device asks for something else.
  const seconds = Math.max(0, Math.round(((expiry?.at ?? requestedAt) - requestedAt) / 1_000));
  return `Nobody decided on this request within ${seconds} seconds, so the environment server denied it.`;
}

/** `decidedBy` of a decision that a policy made. No key has such an id. */
export function policyActor(policy: ApprovalPolicyName): string {
  return `policy:${policy}`;
}
