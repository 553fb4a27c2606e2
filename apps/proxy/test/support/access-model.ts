import type { KeyRecord } from "../../src/keys/key-record.ts";
import type { Scope } from "@letta-environments/schema";
import fc from "fast-check";
import type { KeyRequest } from "../../src/keys/key-lifecycle.ts";

/** A device as a model knows it. */
export interface ModelDevice {
  readonly tenant: string;
  readonly deviceId: string;
  connectionName: string;
  currentMode: string | null;
  /** Absent: none. */
  tags?: readonly string[];
}

/** A text that occurs only in the environment of this device. */
export function markOf({ tenant, deviceId }: Pick<ModelDevice, "tenant" | "deviceId">): string {
  return `<${tenant}/${deviceId}>`;
}

/** The person who runs a device; hidden without scope `details`. */
export const hiddenMark = "hidden-mark";

export const deviceIds: readonly string[] = ["d1", "d2", "d3"];
export const suffixes: readonly string[] = ["ci-1", "ci-2", "prod-1"];
export const tags: readonly string[] = ["ci", "gpu"];
export const agentIds: readonly string[] = ["agent-1", "agent-2"];
const modes = ["standard", "acceptEdits", "unrestricted"];

/** Whether the key's record lets it know of the device: the rule in its plainest form, written apart from the product's. */
export function mayKnow(key: KeyRecord, device: ModelDevice): boolean {
  if (key.tenant !== device.tenant) return false;
  const { tags = [] } = device;
  if (key.deviceTags !== null && !key.deviceTags.some((tag) => tags.includes(tag))) return false;
  if (key.deviceIds === null && key.connectionNames === null) return true;
  const byName = (key.connectionNames ?? []).some((pattern) =>
    new RegExp(`^${pattern.replaceAll("*", ".*")}$`).test(device.connectionName),
  );
  return byName || (key.deviceIds ?? []).includes(device.deviceId);
}

/** Whether the key may send to the device, as it is now, for the agent. */
export function maySend(key: KeyRecord, device: ModelDevice, agentId: string | null): boolean {
  const ceiling = key.maxMode === null ? modes.length : modes.indexOf(key.maxMode);
  const mode = device.currentMode === null ? -1 : modes.indexOf(device.currentMode);
  return (
    mayKnow(key, device) &&
    key.scopes.includes("send") &&
    (key.agentIds === null || (agentId !== null && key.agentIds.includes(agentId))) &&
    (key.maxMode === null || (mode !== -1 && mode <= ceiling))
  );
}

/** The options of a key of {@link anyKey}. */
export type AnyKey = Required<
  Pick<
    KeyRequest,
    "tenant" | "scopes" | "deviceIds" | "connectionNames" | "deviceTags" | "agentIds" | "maxMode" | "shared"
  >
>;

/** Any key of these tenants, with any restriction. */
export function anyKey(tenants: readonly string[], scopes: readonly Scope[]): fc.Arbitrary<AnyKey> {
  const patterns = ["*ci-*", "*-1", "*", "*prod*", "nothing"];
  return fc.record({
    tenant: fc.constantFrom(...tenants),
    scopes: fc.subarray([...scopes], { minLength: Math.max(1, scopes.length - 2) }),
    deviceIds: fc.option(fc.subarray([...deviceIds]), { freq: 2 }),
    connectionNames: fc.option(fc.subarray(patterns, { maxLength: 2 }), { freq: 2 }),
    // Few keys, because those reach few devices.
    deviceTags: fc.oneof(
      { weight: 5, arbitrary: fc.constant(null) },
      { weight: 1, arbitrary: fc.subarray([...tags], { minLength: 1 }) },
    ),
    agentIds: fc.option(fc.subarray([...agentIds]), { freq: 2 }),
    maxMode: fc.option(fc.constantFrom(...modes), { freq: 2 }),
    shared: fc.boolean(),
  });
}

/** Any mode of a device, an untold and an unknown one included. */
export const anyMode: fc.Arbitrary<string | null> = fc.constantFrom(null, "newer", ...modes);

/** A send of one message for an agent or none. */
export function sendBody(agentId: string | null, messageId: string): string {
  const messages = [{ role: "user", content: "x", client_message_id: messageId }];
  return JSON.stringify({ messages, ...(agentId === null ? { conversationId: "conv-1" } : { agentId }) });
}
