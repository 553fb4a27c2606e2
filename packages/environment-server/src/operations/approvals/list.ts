/** Shows requests for permission in API responses and events: the list of pending ones, and a single one. */
import {
  allowsAgent,
  allowsDevice,
  type Approval,
  type ApprovalList,
  type DecidedApproval,
  defaultListLimit,
  jsonResponse,
  type OperationInput,
  type PlainResponse,
  type Principal,
  problemResponse,
} from "@letta-environments/schema";
import type { Decision, StoredApproval } from "../../approval-log.ts";
import { type ApprovalCursor, compareCursors, type PendingApproval } from "../../approvals/pending.ts";
import type { DeviceReference } from "../../log-events.ts";
import type { EnvironmentRow } from "../../ports.ts";
import type { ServerContext } from "../context.ts";
import { modeRefusal } from "../conversations/key-limits.ts";

/**
 * Lists the pending requests of every device that a principal can reach, the oldest first. It must be allowed to decide on them, by
 * device, agent and mode, as far as the mode is known.
 */
export async function listApprovals(
  server: ServerContext,
  { query: { after, limit = defaultListLimit } }: OperationInput<"listApprovals">,
  principal: Principal,
): Promise<PlainResponse> {
  const start = after === undefined ? null : parseCursor(after);
  if (start === undefined) {
    return problemResponse("invalid_request", {
      issues: [{ member: "after", rule: "must be the cursor of an earlier page" }],
    });
  }
  const pending = await withoutMoved(server, await server.approvals.list(principal.tenant));
  const later = pending.filter(({ cursor }) => start === null || compareCursors(cursor, start) > 0);
  // Matching name patterns takes time, so it is done once for each device.
  const rows = new Map(
    [...(await readRows(server, principal, later))].filter(([, row]) => allowsDevice(principal, row)),
  );
  const found = later.flatMap((entry) => {
    const row = rows.get(entry.approval.scope.environmentId);
    return row !== undefined && isReachable(server, principal, entry.approval) ? [{ entry, row }] : [];
  });
  const page = found.slice(0, limit);
  const last = page.at(-1)?.entry.cursor;
  const connectionIds = await readConnectionIds(
    server,
    page.map(({ row }) => row),
  );
  return jsonResponse(200, {
    approvals: page.map(({ entry, row }, index) =>
      toApproval(server, row, connectionIds[index] ?? null, entry.approval),
    ),
    hasNextPage: found.length > limit,
    cursor: last === undefined ? null : formatCursor(last),
  } satisfies ApprovalList);
}

/** The number of a row's pending requests in the principal's list, which are those that it may decide on. */
export function countApprovals(
  server: Pick<ServerContext, "approvals" | "commands" | "hub">,
  principal: Pick<Principal, "scopes" | "agentIds" | "maxMode">,
  environmentId: string,
): number {
  // Another server counts those of its devices.
  if (!principal.scopes.has("approve") || server.hub.connectionOf(environmentId) === null) return 0;
  const pending = server.approvals.pendingOf(environmentId);
  return pending.filter((approval) => isReachable(server, principal, approval)).length;
}

/** The extension member of the problem `approval_decided`. */
export async function toDecidedApproval(
  server: Pick<ServerContext, "router">,
  row: EnvironmentRow,
  approval: StoredApproval,
  decision: Decision,
): Promise<DecidedApproval> {
  const [connectionId = null] = await readConnectionIds(server, [row]);
  return { ...identityOf(row, connectionId, approval), ...decidedMembers(decision) };
}

/** Shows a request in an event, whether it is decided or not. */
export function presentApproval(device: DeviceReference, approval: StoredApproval): object {
  const { decision } = approval;
  const members = decision === null ? pendingMembers(approval) : decidedMembers(decision);
  return { ...identityOf(device, device.connectionId, approval), ...members };
}

function toApproval(
  server: ServerContext,
  row: EnvironmentRow,
  connectionId: string | null,
  approval: StoredApproval,
): Approval {
  const ageMs = Math.max(0, server.time.wall() - approval.requestedAt);
  return { ...identityOf(row, connectionId, approval), ...pendingMembers(approval), ageMs };
}

function pendingMembers({ request, expiry }: StoredApproval) {
  return { input: request.input, inputTruncated: request.isInputCut, expiresAt: expiry?.at ?? null };
}

function decidedMembers({ behavior, decidedBy, decidedAt, reason }: Decision) {
  return { reason, decision: behavior, decidedBy, decidedAt };
}

/** Returns the present connection of each row; `null` for a device that is offline. */
async function readConnectionIds(
  { router }: Pick<ServerContext, "router">,
  rows: readonly EnvironmentRow[],
): Promise<readonly (string | null)[]> {
  const presences = await router.presence(rows.map(({ id }) => id));
  return presences.map((presence) => presence?.connectionId ?? null);
}

/** The members that a request has in responses and events, whether it is decided or not. */
function identityOf(
  { deviceId }: Pick<EnvironmentRow, "deviceId">,
  connectionId: string | null,
  { scope, request, requestedAt, messageId }: StoredApproval,
): Omit<DecidedApproval, "decision" | "decidedBy" | "decidedAt"> {
  return {
    id: request.toolCallId,
    connectionId,
    deviceId,
    agentId: scope.agentId || null,
    conversationId: scope.conversationId,
    tool: request.tool,
    reason: request.reason,
    suggestions: [...request.suggestions],
    requestedAt,
    clientMessageId: messageId,
  };
}

/** Forgets the requests of devices that are connected to another server, which lists them. */
async function withoutMoved(
  { hub, router, approvals }: ServerContext,
  pending: readonly PendingApproval[],
): Promise<readonly PendingApproval[]> {
  const isHere = ({ approval }: PendingApproval): boolean => hub.connectionOf(approval.scope.environmentId) !== null;
  const ids = [
    ...new Set(pending.filter((entry) => !isHere(entry)).map(({ approval }) => approval.scope.environmentId)),
  ];
  if (ids.length === 0) return pending;
  const presences = await router.presence(ids);
  const moved = new Set(ids.filter((_id, index) => (presences[index] ?? null) !== null));
  for (const id of moved) approvals.release(id);
  return pending.filter((entry) => isHere(entry) || !moved.has(entry.approval.scope.environmentId));
}

/** Reads the rows of requests, and forgets the requests of rows that are no longer stored. */
async function readRows(
  { store, approvals }: ServerContext,
  { tenant }: Principal,
  pending: readonly PendingApproval[],
): Promise<ReadonlyMap<string, EnvironmentRow>> {
  const environmentIds = [...new Set(pending.map(({ approval }) => approval.scope.environmentId))];
  if (environmentIds.length === 0) return new Map();
  const filter = { tenant, afterId: null, environmentIds, deviceIds: null, owner: null, limit: environmentIds.length };
  const rows = new Map((await store.listEnvironments(filter)).map((row) => [row.id, row]));
  for (const environmentId of environmentIds) if (!rows.has(environmentId)) approvals.forget(environmentId);
  return rows;
}

/** Whether a principal may decide on a request of a device that it may use. */
function isReachable(
  server: Pick<ServerContext, "commands">,
  principal: Pick<Principal, "agentIds" | "maxMode">,
  { scope }: Pick<StoredApproval, "scope">,
): boolean {
  return allowsAgent(principal, scope.agentId || undefined) && refuseByKnownMode(server, principal, scope) === null;
}

/** Returns the refusal of a request because of the mode of its conversation; `null` also for an unknown mode, because a decision queries it. */
export function refuseByKnownMode(
  server: Pick<ServerContext, "commands">,
  { maxMode }: Pick<Principal, "maxMode">,
  scope: StoredApproval["scope"],
): PlainResponse | null {
  const isUnknown = server.commands.modes.modeOf(scope.environmentId, scope) === undefined;
  return isUnknown ? null : modeRefusal(server, { maxMode }, scope);
}

function formatCursor({ requestedAt, digest }: ApprovalCursor): string {
  return `${requestedAt}.${digest}`;
}

/** Returns `undefined` for a text that is not a cursor. */
function parseCursor(text: string): ApprovalCursor | undefined {
  const [, requestedAt, digest] = /^(\d{1,16})\.([0-9a-f]{24})$/.exec(text) ?? [];
  return requestedAt === undefined || digest === undefined ? undefined : { requestedAt: Number(requestedAt), digest };
}
