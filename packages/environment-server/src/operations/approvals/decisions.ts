/**
 * Decisions on requests for permission within a send: only a pending request can be decided, and only once. A request that a device
 * repeats, because an earlier decision had no effect there, can be decided again.
 */
import { type PlainResponse, type Principal, problemResponse } from "@letta-environments/schema";
import type { ApprovalKey, Decision, StoredApproval } from "../../approval-log.ts";
import { denialText, policyActor } from "../../approvals/policy.ts";
import { type DeliveryPart, type DeliveryPlan, messageIdIssues, planDenial, storedIds } from "../../delivery/plan.ts";
import { classifyRepeat } from "../../delivery/repeat.ts";
import { maxReasonLength } from "../../dialects/approval-requests.ts";
import { shortenText } from "../../dialects/bounded-input.ts";
import type { InputPayload } from "../../dialects/build.ts";
import type { KnownMessage } from "../../ports.ts";
import type { DeviceConnection } from "../../socket/connection.ts";
import { refuseByKnownMode, toDecidedApproval } from "./list.ts";
import type { Send, ServerContext } from "../context.ts";

/** A part, and the conversation that receives it. */
type Part = Pick<Send, "server" | "part" | "scope">;

/** Returns the key of the request that a part decides on, and the request if it is pending; `null` for messages. */
function findRequest({ server, part: { toolCallId }, scope }: Part) {
  if (toolCallId === null) return null;
  const key: ApprovalKey = { scope, toolCallId };
  return { key, approval: server.approvals.find(key) };
}

/**
 * Returns the stored uses of a part's ids. Leaves out uses without effect and releases their ids: of sends whose earlier release failed, and of
 * earlier decisions on a request that is pending again.
 */
export async function findKnownAfterRelease(send: Send): Promise<readonly KnownMessage[]> {
  const { server, record, part, scope } = send;
  const { store, pending, time } = server;
  const stored = await store.findMessages(scope, storedIds(part), time.now());
  const released = await pending.retryReleases(
    record.environment.tenant,
    stored.map(({ deliveryId }) => deliveryId),
  );
  const unreleased = stored.filter(({ deliveryId }) => !released.has(deliveryId));
  return part.toolCallId === null ? unreleased : releaseSuperseded(send, unreleased);
}

/** Removes the uses by earlier decisions on a request that is pending again, and releases their ids. Returns the remaining uses. */
async function releaseSuperseded(send: Part, known: readonly KnownMessage[]): Promise<readonly KnownMessage[]> {
  const { server, part, scope } = send;
  const approval = findRequest(send)?.approval ?? null;
  // The device has replaced the request since. A retry of the decision on the earlier one still receives its result.
  if (known.length === 0 || approval === null || targetsOtherRequest(part, approval)) return known;
  // So does a retry with the same Idempotency-Key.
  if (known.some(({ messageId }) => messageId === part.keyIds?.keyAndBody)) return known;
  const superseded = new Set(
    known
      .filter(({ messageId }) => part.messageIds.includes(messageId))
      .map(({ deliveryId }) => deliveryId)
      .filter((deliveryId) => server.pending.find(scope.environmentId, deliveryId)?.isWaiting !== true),
  );
  for (const deliveryId of superseded) await server.store.forget(deliveryId);
  return known.filter(({ deliveryId }) => !superseded.has(deliveryId));
}

/** Whether a decision concerns another request than the one that is now pending under its id. */
function targetsOtherRequest({ requestedAt }: DeliveryPart, approval: StoredApproval): boolean {
  return requestedAt !== null && requestedAt !== approval.requestedAt;
}

/**
 * Binds a decision without `requested_at` to the request that was pending when the decision arrived, because its sender cannot have seen a later one.
 * Returns other parts unchanged.
 */
export function resolveRequestedAt({ server, part, scope }: Part, arrivalSequence: number): DeliveryPart {
  const { toolCallId, requestedAt } = part;
  if (toolCallId === null || requestedAt !== null) return part;
  return { ...part, requestedAt: server.approvals.requestedAtFor({ scope, toolCallId }, arrivalSequence) };
}

/**
 * Returns 404 `approval_not_found` if the device has replaced the request with another one under the same id, even if nobody may decide on that one
 * yet. Returns `null` for any other part.
 */
export function refuseReplaced(send: Part): PlainResponse | null {
  const { server, part } = send;
  const request = findRequest(send);
  if (request === null || part.requestedAt === null) return null;
  const { key, approval } = request;
  const isReplaced = approval === null ? server.approvals.isWithheld(key) : targetsOtherRequest(part, approval);
  return isReplaced ? replacedResponse(part) : null;
}

/** Returns 404 `approval_not_found` if the decision that this one would repeat was made on another request under the same id; otherwise `null`. */
export async function refuseEarlierRequest({ server, part, scope }: Part): Promise<PlainResponse | null> {
  const { toolCallId, requestedAt } = part;
  if (toolCallId === null || requestedAt === null) return null;
  const decided = await server.approvals.findDecided({ scope, toolCallId });
  return decided === null || decided.requestedAt === requestedAt ? null : replacedResponse(part);
}

/** The response to a decision on a request that its device has replaced with another one. */
export function replacedResponse(part: DeliveryPart): PlainResponse {
  const rule = "now belongs to a different request: list the requests again";
  return problemResponse("approval_not_found", { issues: messageIdIssues(part, rule) });
}

/** Returns 400 `invalid_request` for a decision that selects suggestions that its request does not have. */
function refuseSuggestions({ payload, members }: DeliveryPart, { request }: StoredApproval): PlainResponse | null {
  if (payload.kind !== "approval_response" || payload.decision.behavior !== "allow") return null;
  const known = new Set(request.suggestions.map(({ id }) => id));
  const selected = payload.decision.selected_permission_suggestion_ids ?? [];
  if (selected.every((id) => known.has(id))) return null;
  const member = (members[0] ?? "").replace(/tool_call_id$/, "selected_permission_suggestion_ids");
  return problemResponse("invalid_request", {
    issues: [{ member, rule: "must be ids of the request's suggestions" }],
  });
}

/**
 * Returns 404 `approval_not_found` for a decision on a request that is not pending, and 400 for one that selects suggestions that the
 * request does not have; `null` for any other part.
 */
export function refuseDecision(send: Part, connection: DeviceConnection): PlainResponse | null {
  const { part, scope } = send;
  const request = findRequest(send);
  if (request === null) return null;
  const { key, approval } = request;
  if (approval !== null)
    return targetsOtherRequest(part, approval) ? replacedResponse(part) : refuseSuggestions(part, approval);
  const { approvals } = send.server;
  // For a device whose requests could not all be read or remembered, an unknown id may be a real one: let the device refuse it.
  const deviceDecides = !approvals.isComplete(scope.environmentId) || connection.reportedRules.size > 0;
  if (deviceDecides && part.requestedAt === null && !approvals.isWithheld(key)) return null;
  const issues = messageIdIssues(part, "must be the id of a request that is pending in this conversation");
  return problemResponse("approval_not_found", { issues });
}

/**
 * Checks every decision after the first part before that part is sent, so that nothing is sent if a later decision cannot be made. Returns 409
 * `approval_decided` for a request that already has another decision, and otherwise the response of {@link refuseDecision}. A device makes some requests
 * only after a decision on an earlier one, so a decision that follows another decision may name a request that is not pending yet. One that follows
 * only messages may not: its sender cannot know the id of a request that its own message will cause.
 */
export async function refuseLaterDecisions(
  send: Send,
  [first, ...later]: DeliveryPlan["parts"],
  connection: DeviceConnection,
): Promise<PlainResponse | null> {
  const { server, scope } = send;
  let mayBeMadeLater = first.toolCallId !== null;
  for (const part of later) {
    if (part.toolCallId === null) continue;
    const decision = { ...send, part };
    const known = await findKnownAfterRelease(decision);
    const { kind } = classifyRepeat(part, known);
    if (kind === "conflict") return decidedResponse(decision);
    const replaced = kind === "repeat" ? await refuseEarlierRequest(decision) : null;
    if (replaced !== null) return replaced;
    const isPending = server.approvals.find({ scope, toolCallId: part.toolCallId }) !== null;
    const isChecked = known.length === 0 && (isPending || !mayBeMadeLater);
    const refusal = isChecked ? refuseDecision(decision, connection) : null;
    if (refusal !== null) return refusal;
    mayBeMadeLater = true;
  }
  return null;
}

/**
 * Waits for the request that a later part of a body decides on, because a device requests the permissions of a turn one after the other.
 * Other parts do not wait.
 */
export async function awaitRequest(send: Part): Promise<void> {
  const { approvals, store, time } = send.server;
  const request = findRequest(send);
  if (request === null || request.approval !== null) return;
  const known = await store.findMessages(send.scope, send.part.messageIds, time.now());
  if (known.length === 0) await approvals.whenPending(request.key);
}

/** Returns the payload with the id that the device gave its request. */
export function addressedPayload(send: Part): InputPayload {
  const approval = findRequest(send)?.approval ?? null;
  const { payload } = send.part;
  return approval === null || payload.kind !== "approval_response"
    ? payload
    : { ...payload, request_id: approval.request.requestId };
}

/** Records a decision that is about to be reserved and sent. */
export function recordDecision(
  { server, part: { toolCallId, payload }, scope, principal }: Send,
  deliveryId: string,
): void {
  if (toolCallId === null || payload.kind !== "approval_response") return;
  const { behavior, message } = payload.decision;
  const reason = message === undefined ? null : shortenText(message, maxReasonLength);
  const decidedAt = server.time.wall();
  const decision: Decision = { behavior, reason, decidedBy: principal.keyId, decidedAt };
  server.approvals.recordDecision({ scope, toolCallId }, deliveryId, decision);
}

/** The response to a decision on a request that was decided otherwise: 409 `approval_decided` with the first decision. */
export async function decidedResponse({ server, part, record, scope, principal }: Send): Promise<PlainResponse> {
  // The response would show a request that the list omits.
  const refusal = refuseByKnownMode(server, principal, scope);
  if (refusal !== null) return refusal;
  const { toolCallId } = part;
  const issues = messageIdIssues(part, "already has a different decision");
  const approval = toolCallId === null ? null : await server.approvals.findDecided({ scope, toolCallId });
  if (approval === null || approval.decision === null) return problemResponse("approval_decided", { issues });
  const members = { approval: await toDecidedApproval(server, record.environment, approval, approval.decision) };
  return problemResponse("approval_decided", { issues, members });
}

/** Returns the denial that the policy in `expiry` makes; `null` without one. It does not apply to a request that replaces this one. */
export function policyDenial(
  { approvals, sha256 }: Pick<ServerContext, "approvals" | "sha256">,
  approval: StoredApproval,
): { readonly part: DeliveryPart; readonly principal: Pick<Principal, "keyId" | "agentIds" | "maxMode"> } | null {
  const { expiry, request, scope, requestedAt } = approval;
  if (expiry === null) return null;
  const planned = planDenial(request.toolCallId, denialText(expiry.policy, approval), sha256);
  // There may have been no room to remember it.
  const isPending = approvals.find({ scope, toolCallId: request.toolCallId }) !== null;
  const part = isPending ? { ...planned, requestedAt } : planned;
  return { part, principal: { keyId: policyActor(expiry.policy), agentIds: null, maxMode: null } };
}
