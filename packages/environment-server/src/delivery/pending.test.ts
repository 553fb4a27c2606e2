import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { acknowledgementTimeoutMs, outcomeRetryMs } from "../limits.ts";
import type { Delivery, DeliveryOutcome } from "../ports.ts";
import { createPendingDeliveries } from "./pending.ts";

const device = { tenant: "acme", environmentId: "env-1", deviceId: "device-1", connectionId: "connection-1" };
const delivery: Delivery = {
  id: "delivery-1",
  scope: { environmentId: "env-1", agentId: "agent-1", conversationId: "default" },
  messageIds: ["m-1"],
  fingerprint: "f",
};
const accepted: DeliveryOutcome = { kind: "accepted", disposition: null };
const queued: DeliveryOutcome = { kind: "accepted", disposition: "queued" };
const rejected: DeliveryOutcome = { kind: "rejected", error: "full" };

test.each([
  { first: queued, replacesIt: false },
  { first: rejected, replacesIt: false },
  { first: { kind: "unknown" } as const, replacesIt: true },
])(
  "a later outcome replaces an unsaved $first.kind one, as in the store: $replacesIt",
  async ({ first, replacesIt }) => {
    const clock = createVirtualClock();
    const stored: DeliveryOutcome[] = [];
    let fails = true;
    const pending = createPendingDeliveries({
      clock,
      emit: () => undefined,
      log: {
        release: () => Promise.resolve(),
        forget: () => Promise.resolve(),
        async settle(_deliveryId, _environmentId, outcome) {
          if (fails) throw new Error("disk full");
          stored.push(outcome);
          return true;
        },
      },
    });
    const opened = pending.open(delivery, device, { isDecision: false, length: 1 });
    pending.markSent(opened);
    if (first.kind === "unknown") await clock.advance(acknowledgementTimeoutMs);
    else pending.acknowledge(device, delivery.id, first);
    expect(await opened.outcome).toEqual(first);
    pending.confirm(device, delivery.id);
    await clock.advance(0);
    const last = replacesIt ? accepted : first;
    expect(pending.unsaved(delivery.id)).toEqual(last);
    fails = false;
    await clock.advance(outcomeRetryMs);
    expect(stored).toEqual([last]);
  },
);
