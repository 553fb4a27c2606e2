import type { TrackedSend } from "../../src/messages/followed.ts";
import { receivedStatus } from "../../src/messages/state-machine.ts";

/** A send of one message, which has the same id. */
export function trackedSend(id: string): TrackedSend {
  const scope = { environmentId: "env-1", agentId: "agent-1", conversationId: "default" };
  const send = { deliveryId: id, tenant: "acme", scope, messageIds: [id], policy: null, isResumed: false };
  return { ...send, sentAt: 0, updatedAt: 0, status: receivedStatus };
}
