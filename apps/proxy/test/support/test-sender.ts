import type { Clock } from "@letta-environments/platform";
import type { RequestedSend, Sends, SendRunResult } from "../../src/idempotency/sends.ts";
import { neverAborted } from "../../src/lib/deadline.ts";
import { testReservation } from "./test-reservation.ts";

/** Requests one message again and again, from any gateway, and counts how often it leaves. */
export interface TestSender {
  /** Requests it under a send id. Resolves when its result is stored. */
  send(gateway: Sends, sendId: string): Promise<SendRunResult>;
  transmissions(): number;
}

export function createTestSender(clock: Pick<Clock, "monotonic">): TestSender {
  const { scope, connectionId, connection } = testReservation([]);
  const { tenant, agentId, conversationId } = scope;
  const entries = [{ id: "a", fingerprint: "f", kind: "message", member: "messages[0]" }] as const;
  let transmissions = 0;
  return {
    async send(gateway, sendId) {
      const deadline: RequestedSend["deadline"] = { atMs: clock.monotonic() + 30_000, signal: neverAborted };
      const ids = { agentId, conversationId, entries };
      const result = await gateway.run({ sendId, tenant, connectionId, ids, deadline }, connection, {
        recordStart: () => undefined,
        async transmit() {
          transmissions += 1;
          return { action: "settle", response: { status: 200, headers: {}, body: "{}" } };
        },
      });
      if (result.kind === "responded") await result.storing;
      return result;
    },
    transmissions: () => transmissions,
  };
}
