import type { MessageStatus, Principal } from "@letta-environments/schema";
import { type Answer, anyone, createHarness, type Harness, userMessage } from "./harness.ts";

/** {@link anyone} with the scope that shows texts. */
export const viewer: Principal = { ...anyone, scopes: new Set([...anyone.scopes, "view"] as const) };

/** The conversation of a harness's sends, as frames name it. */
export const runtime = { agent_id: "agent-1", conversation_id: "default" };

/** Retrieves the status of a message. */
export function retrieve(
  harness: Harness,
  connectionId: string,
  id: string,
  query = "",
  principal = viewer,
): Promise<Answer> {
  return harness.call("GET", `/v1/environments/${connectionId}/messages/${encodeURIComponent(id)}`, {
    query,
    principal,
  });
}

/** The state of a message. */
export async function stateOf(harness: Harness, connectionId: string, id: string): Promise<MessageStatus["state"]> {
  return String((await retrieve(harness, connectionId, id)).body["state"]);
}

/** A device of the newest version, with a message that it has started. */
export async function startMessage(id = "m-1") {
  const harness = createHarness();
  const body = { deviceId: "device-1", connectionName: "box", metadata: { lettaCodeVersion: "0.32.18" } };
  const connectionId = await harness.register("device-1", { body });
  const socket = await harness.open(connectionId);
  const sent = harness.send(connectionId, { messages: [userMessage(id)] });
  await harness.settle();
  socket.acknowledge();
  await sent;
  return { harness, connectionId, socket };
}
