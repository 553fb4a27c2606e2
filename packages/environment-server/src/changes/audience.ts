/** Decides which principals may see a change. The rules are those of the requests that read the same: devices, agents, scopes and the tenant. */
import { allowsAgent, allowsDevice, type Principal } from "@letta-environments/schema";
import type { ChangeSubject, StoredChange } from "../change-log.ts";

/** The request of a reader, and its principal. */
export interface ChangeView {
  readonly principal: Principal;
  /** Also what turns say. Needs the scope `view`. */
  readonly includesOutput: boolean;
  /** Only events of this device; `null`: of every device. */
  readonly deviceId: string | null;
}

/** Returns whether a reader receives a change. */
export function receives({ principal, includesOutput, deviceId }: ChangeView, change: StoredChange): boolean {
  if (deviceId !== null && deviceId !== change.deviceId) return false;
  if (!allowsKind(principal, change.kind) || (change.kind === "output" && !includesOutput)) return false;
  return allowsSubject(principal, change);
}

/** Returns whether a principal may see what concerns a device and an agent. */
export function allowsSubject(principal: Principal, subject: ChangeSubject): boolean {
  if (principal.tenant !== subject.tenant || !allowsDevice(principal, subject)) return false;
  return subject.agentId === null || allowsAgent(principal, subject.agentId === "" ? undefined : subject.agentId);
}

function allowsKind({ scopes, maxMode }: Principal, kind: StoredChange["kind"]): boolean {
  switch (kind) {
    case "environment":
      return scopes.has("list") || scopes.has("read");
    case "message":
      return scopes.has("read");
    case "approval":
      // Whether a key with a maximum mode may decide depends on the mode of the conversation at the time of its request.
      return scopes.has("approve") && maxMode === null;
    case "output":
      return scopes.has("view");
  }
}

/** Names everything that {@link receives} reads of a view, so that readers with equal keys receive the same. */
export function audienceKey({ principal, includesOutput, deviceId }: ChangeView): string {
  const { tenant, scopes, maxMode, deviceIds, connectionNames, tenantDevices, deviceTags, agentIds } = principal;
  const kinds = (["list", "read", "approve", "view"] as const).filter((scope) => scopes.has(scope));
  return JSON.stringify([
    [tenant, includesOutput, deviceId, kinds, maxMode],
    [deviceIds, connectionNames, tenantDevices ?? null, deviceTags ?? null, agentIds],
  ]);
}

/** The only devices that a view can have, by their ids; `null` when their names count too, or every device. */
export function devicesOf({ principal, deviceId }: ChangeView): readonly string[] | null {
  if (deviceId !== null) return [deviceId];
  return principal.connectionNames === null ? principal.deviceIds : null;
}
