/**
 * Requests for permission on devices behind a remote server. The server lists those of the tenant; the gateway keeps those that the principal
 * can reach by device, agent and mode. A page may get shorter; `hasNextPage` and `cursor` stay those of the server.
 */
import {
  allowsAgent,
  allowsDevice,
  allowsMode,
  endpoints,
  jsonResponse,
  type PlainResponse,
  type Principal,
  problemResponse,
} from "@letta-environments/schema";
import { isJsonObject, parseJsonObject } from "../../lib/json.ts";
import { isLimitedToDevices, readDevice, type UpstreamRow } from "../environments.ts";
import type { ReadRemote } from "../remote-call.ts";

interface UpstreamApproval {
  readonly [member: string]: unknown;
  readonly deviceId: string;
  readonly agentId: string | null;
}

/** Returns the response for the caller. Where names or modes decide, the devices themselves are read. */
export async function presentApprovals(
  principal: Principal,
  response: PlainResponse,
  read: ReadRemote,
): Promise<PlainResponse> {
  // The server takes the path for that of a device.
  if (response.status === 404 || response.status === 405) return unknownOperation;
  if (response.status !== endpoints.listApprovals.successStatus) return response;
  const readsDevices = isLimitedToDevices(principal) || principal.maxMode !== null;
  if (!readsDevices && principal.agentIds === null) return response;
  const list = parseJsonObject(response.body);
  const approvals = list?.["approvals"];
  if (!Array.isArray(approvals) || !approvals.every(isApproval)) return problemResponse("upstream_invalid_response");
  const rows = new Map<string, UpstreamRow | null>();
  const kept: UpstreamApproval[] = [];
  for (const approval of approvals) {
    const { deviceId, agentId } = approval;
    if (!allowsAgent(principal, agentId ?? undefined)) continue;
    if (readsDevices && !rows.has(deviceId)) {
      const device = await readDevice(deviceId, read);
      if (device.kind === "refused") return device.response;
      rows.set(deviceId, device.row);
    }
    const row = rows.get(deviceId) ?? null;
    if (!readsDevices || (row !== null && isReachable(principal, row))) kept.push(approval);
  }
  return jsonResponse(response.status, { ...list, approvals: kept });
}

function isReachable(principal: Principal, row: UpstreamRow): boolean {
  const { currentMode } = row;
  return (
    allowsDevice(principal, row) && allowsMode(principal, typeof currentMode === "string" ? currentMode : undefined)
  );
}

const unknownOperation = problemResponse("endpoint_not_found", {
  detail: "The environment server behind this gateway does not have this operation.",
});

function isApproval(value: unknown): value is UpstreamApproval {
  if (!isJsonObject(value) || typeof value["deviceId"] !== "string") return false;
  return value["agentId"] === null || typeof value["agentId"] === "string";
}
