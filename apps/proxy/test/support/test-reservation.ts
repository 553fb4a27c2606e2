import type { Reservation, SendEntry, SendResult, SendScope } from "../../src/idempotency/store.ts";

export const testScope: SendScope = {
  tenant: "default",
  environmentId: "environment-1",
  agentId: "agent-1",
  conversationId: "conversation-1",
};

let sends = 0;

/** A reservation of these ids under a new send id. The fingerprint of each id follows from it. */
export function testReservation(ids: readonly string[], changes: Partial<Reservation> = {}): Reservation {
  const connection = { environmentId: testScope.environmentId, deviceId: "device-1", connectionName: "laptop" };
  return {
    sendId: `send-${sends++}`,
    scope: testScope,
    entries: ids.map(testEntry),
    connectionId: "connection-1",
    connection,
    leaseMs: 60_000,
    ...changes,
  };
}

export function testEntry(id: string): SendEntry {
  return { id, fingerprint: `fingerprint of ${JSON.stringify(id)}` };
}

export function testResult(text: string): SendResult {
  return {
    status: 200,
    headers: { "content-type": "application/json", "x-text": "1" },
    body: JSON.stringify({ text }),
  };
}
