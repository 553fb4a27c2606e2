/** Approval decisions and a device that asks for them. */
import type { FakeSocket } from "./fake-socket.ts";
import { type Answer, type CallOptions, type Harness, withApprove } from "./harness.ts";

/** A decision as callers send it. */
export type Decision = Readonly<Record<string, unknown>>;

/** Allows `call-1`. */
export const allow: Decision = { approve: true, tool_call_id: "call-1" };
/** The acknowledgement of a device for a request that it no longer has. */
export const noLongerPending = { accepted: false, error: "Approval request is no longer pending" };

/** Sends decisions in one body. */
export function decide(
  { call }: Harness,
  connectionId: string,
  approvals: readonly Decision[],
  options: CallOptions = { principal: withApprove },
): Promise<Answer> {
  const body = { agentId: "agent-1", messages: [{ type: "approval", approvals }] };
  return call("POST", `/v1/environments/${connectionId}/messages`, { body, ...options });
}

/** Connects a device that asks for two permissions. */
export async function connectAsking(harness: Harness) {
  const connected = await harness.connect("device-1");
  for (const toolCallId of ["call-1", "call-2"]) connected.socket.ask(toolCallId);
  return connected;
}

/** The payloads that a device has received. */
export function payloads(socket: FakeSocket): unknown[] {
  return socket.inputs().map((input) => input.payload);
}
