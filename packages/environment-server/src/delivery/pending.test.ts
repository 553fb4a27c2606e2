import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { acknowledgementTimeoutMs, maxLateAcknowledgements, outcomeRetryMs } from "../limits.ts";
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
    expect(pending.unsavedOutcome(delivery.id)).toEqual(last);
    fails = false;
    await clock.advance(outcomeRetryMs);
    expect(stored).toEqual([last]);
  },
);

/** Pending deliveries whose ids can be released only after `heal`. */
function startFailing() {
  let fails = true;
  const stored: string[] = [];
  const release = (): Promise<void> => (fails ? Promise.reject(new Error("disk full")) : Promise.resolve());
  const pending = createPendingDeliveries({
    clock: createVirtualClock(),
    emit: () => undefined,
    log: { release, forget: release, settle: async (deliveryId) => stored.push(deliveryId) > 0 },
  });
  return { pending, stored, heal: () => void (fails = false) };
}

test("late acknowledgements are matched only to the newest sends without one, so that a device cannot fill the memory", async () => {
  const { pending, stored } = startFailing();
  const send = (id: string) => pending.open({ ...delivery, id }, device, { isDecision: false, length: 1 });
  const opened = Array.from({ length: maxLateAcknowledgements + 1 }, (_, count) => send(`delivery-${count}`));
  for (const each of opened) pending.markSent(each);
  pending.endWaits(device.environmentId, "disconnected");
  await Promise.all(opened.map(({ outcome }) => outcome));
  stored.length = 0;
  for (const id of ["delivery-0", "delivery-1"]) pending.acknowledge(device, id, accepted);
  await pending.close();
  expect(stored).toEqual(["delivery-1"]);
});

test("a tenant with many sends without an acknowledgement causes no loss of the late ones of another tenant", async () => {
  const { pending, stored } = startFailing();
  const lose = async (tenant: string, id: string) => {
    const environmentId = `env-${tenant}`;
    const scope = { ...delivery.scope, environmentId };
    const opened = pending.open(
      { ...delivery, id, scope },
      { ...device, tenant, environmentId },
      { isDecision: false, length: 1 },
    );
    pending.markSent(opened);
    pending.endWaits(environmentId, "disconnected");
    await opened.outcome;
  };
  await lose("acme", "first");
  for (let count = 0; count <= maxLateAcknowledgements; count++) await lose("hostile", `delivery-${count}`);
  stored.length = 0;
  pending.acknowledge({ ...device, environmentId: "env-acme" }, "first", accepted);
  pending.acknowledge({ ...device, tenant: "hostile", environmentId: "env-hostile" }, "delivery-0", accepted);
  await pending.close();
  expect(stored).toEqual(["first"]);
});

test("only the newest ids that could not be released are retried, so that a failing store does not fill the memory", async () => {
  const { pending, heal } = startFailing();
  const ids = Array.from({ length: maxLateAcknowledgements + 1 }, (_, count) => `delivery-${count}`);
  await Promise.allSettled(ids.map((id) => pending.release(id)));
  heal();
  expect(await pending.retryReleases(["delivery-0", "delivery-1"])).toEqual(new Set(["delivery-1"]));
});
