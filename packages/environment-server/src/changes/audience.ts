/**
 * Decides which principals may see a change. The rules are the same as for requests that read this data: devices, agents, scopes and the
 * tenant. The event of a message has the last text of the turn, which is output: readers without output receive the event without it.
 */
import { allowsAgent, allowsDevice, type Principal } from "@letta-environments/schema";
import type { ChangeKind, ChangeSubject, StoredChange } from "../change-log.ts";
import { isMembers } from "../dialects/values.ts";

/** The request of a reader, and its principal. */
export interface ChangeView {
  readonly principal: Principal;
  /** Includes the output of turns. Needs the scope `view`. */
  readonly includesOutput: boolean;
  /** Only events of this device; `null`: of every device. */
  readonly deviceId: string | null;
}

/** Returns whether a reader receives a change. */
export function receives({ principal, includesOutput, deviceId }: ChangeView, change: StoredChange): boolean {
  if (deviceId !== null && deviceId !== change.deviceId) return false;
  if (allowsKind[change.kind]?.(principal) !== true || (change.kind === "output" && !includesOutput)) return false;
  return allowsSubject(principal, change);
}

/** Returns whether a principal may see what concerns a device and an agent. */
function allowsSubject(principal: Principal, subject: ChangeSubject): boolean {
  if (principal.tenant !== subject.tenant || !allowsDevice(principal, subject)) return false;
  return subject.agentId === null || allowsAgent(principal, subject.agentId || undefined);
}

type AllowsPrincipal = (principal: Principal) => boolean;

/** Decides who may see changes of each kind. Nobody sees a kind that only a newer version knows. */
const allowsKind: Readonly<Partial<Record<string, AllowsPrincipal>>> = {
  environment: ({ scopes }) => scopes.has("list") || scopes.has("read"),
  message: ({ scopes }) => scopes.has("read"),
  // Whether a key with a maximum mode may decide depends on the mode of the conversation at the time of its request.
  approval: ({ scopes, maxMode }) => scopes.has("approve") && maxMode === null,
  output: ({ scopes }) => scopes.has("view"),
} satisfies Record<ChangeKind, AllowsPrincipal>;

/** Returns a key for everything that {@link receives} reads of a view: readers with equal keys receive the same changes. */
export function audienceKey({ principal, includesOutput, deviceId }: ChangeView): string {
  const { tenant, deviceIds, connectionNames, tenantDevices, deviceTags, agentIds } = principal;
  // The decisions themselves, not the scopes that they depend on: so none of these can be missing.
  const kinds = Object.values(allowsKind).map((allows) => allows?.(principal));
  return JSON.stringify([
    [tenant, includesOutput, deviceId, kinds],
    [deviceIds, connectionNames, tenantDevices ?? null, deviceTags ?? null, agentIds],
  ]);
}

/** The only devices that a view can have, by their ids; `null` when their names count too, or every device. */
export function devicesOf({ principal, deviceId }: ChangeView): readonly string[] | null {
  if (deviceId !== null) return [deviceId];
  return principal.connectionNames === null ? principal.deviceIds : null;
}

/** Creates a function that returns the data of a change, for readers with or without output. */
export function createShownData({ kind, data }: Pick<StoredChange, "kind" | "data">) {
  let plain: string | null = null;
  return ({ includesOutput }: Pick<ChangeView, "includesOutput">): string => {
    if (kind !== "message" || includesOutput) return data;
    return (plain ??= withoutText(data));
  };
}

function withoutText(data: string): string {
  // Most changes of a message come before its turn has a text.
  if (!data.includes('"text":')) return data;
  const { message, ...rest } = JSON.parse(data) as Readonly<Record<string, unknown>>;
  if (!isMembers(message)) return data;
  const { text: _text, textTruncated: _truncated, ...shown } = message;
  return JSON.stringify({ ...rest, message: shown });
}
