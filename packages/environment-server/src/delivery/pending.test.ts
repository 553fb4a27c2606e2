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

/** Pending deliveries whose ids can be released only after `heal`. If `settles` is false, no outcome can be stored before either. */
function startFailing(settles = true) {
  let fails = true;
  const stored: string[] = [];
  const forgotten: string[] = [];
  const access = async (): Promise<void> => {
    if (fails) throw new Error("disk full");
  };
  const pending = createPendingDeliveries({
    clock: createVirtualClock(),
    emit: () => undefined,
    log: {
      release: access,
      forget: (deliveryId) => access().then(() => void forgotten.push(deliveryId)),
      async settle(deliveryId) {
        if (!settles) await access();
        return stored.push(deliveryId) > 0;
      },
    },
  });
  return { pending, stored, forgotten, heal: () => void (fails = false) };
}

/** The sends to the device of a tenant. */
function senderOf({ pending }: Pick<ReturnType<typeof startFailing>, "pending">, tenant: string) {
  const environmentId = `env-${tenant}`;
  const target = { ...device, tenant, environmentId };
  const send = (id: string, isDecision = false) => {
    const scope = { ...delivery.scope, environmentId };
    const opened = pending.open({ ...delivery, id, scope }, target, { isDecision, length: 1 });
    pending.markSent(opened);
    return opened;
  };
  return {
    acknowledge: (id: string, outcome = accepted) => pending.acknowledge(target, id, outcome),
    /** The device acknowledges a send. */
    async deliver(id: string) {
      const { outcome } = send(id);
      pending.acknowledge(target, id, accepted);
      await outcome;
    },
    /** The device disconnects before it acknowledges a send. */
    async lose(id: string, isDecision?: boolean) {
      const { outcome } = send(id, isDecision);
      pending.endWaits(environmentId, "disconnected");
      await outcome;
    },
  };
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
  const world = startFailing();
  const [acme, hostile] = [senderOf(world, "acme"), senderOf(world, "hostile")];
  await acme.lose("first");
  for (let count = 0; count <= maxLateAcknowledgements; count++) await hostile.lose(`delivery-${count}`);
  world.stored.length = 0;
  acme.acknowledge("first");
  hostile.acknowledge("delivery-0");
  await world.pending.close();
  expect(world.stored).toEqual(["first"]);
});

test("a tenant whose outcomes wait for a failing store causes no loss of the outcome of another tenant", async () => {
  const world = startFailing(false);
  const [acme, hostile] = [senderOf(world, "acme"), senderOf(world, "hostile")];
  await acme.deliver("first");
  for (let count = 0; count <= maxLateAcknowledgements; count++) await hostile.deliver(`delivery-${count}`);
  expect(world.pending.unsavedOutcome("first")).toEqual(accepted);
  expect(world.pending.unsavedOutcome("delivery-0")).toBeUndefined();
});

test("a tenant whose releases wait for a failing store causes no loss of the release of another tenant", async () => {
  const { pending, heal } = startFailing();
  await Promise.allSettled([pending.release("acme", "first")]);
  const ids = Array.from({ length: maxLateAcknowledgements + 1 }, (_, count) => `delivery-${count}`);
  await Promise.allSettled(ids.map((id) => pending.release("hostile", id)));
  heal();
  expect(await pending.retryReleases("acme", ["first"])).toEqual(new Set(["first"]));
});

test.each([false, true])(
  "only the device that received a send may acknowledge it late, not another one of its tenant (a decision: %s)",
  async (isDecision) => {
    const world = startFailing();
    world.heal();
    const acme = senderOf(world, "acme");
    await acme.lose("first", isDecision);
    world.stored.length = 0;
    for (const outcome of [accepted, rejected])
      world.pending.acknowledge({ ...device, environmentId: "env-other" }, "first", outcome);
    await world.pending.close();
    expect([world.stored, world.forgotten]).toEqual([[], []]);
  },
);

test.each([false, true])(
  "a second late acknowledgement has no effect, so that an accepted decision does not free its ids (a decision: %s)",
  async (isDecision) => {
    const world = startFailing();
    world.heal();
    const acme = senderOf(world, "acme");
    await acme.lose("first", isDecision);
    world.stored.length = 0;
    for (const outcome of [accepted, rejected, accepted]) {
      acme.acknowledge("first", outcome);
      await world.pending.outcomeWrite("first");
    }
    await world.pending.close();
    expect([world.stored, world.forgotten]).toEqual([["first"], []]);
  },
);

test("a late acknowledgement of a send that its device has already confirmed has no effect", async () => {
  const world = startFailing();
  const acme = senderOf(world, "acme");
  await acme.lose("first");
  world.stored.length = 0;
  world.pending.confirm({ ...device, environmentId: "env-acme" }, "first");
  await world.pending.outcomeWrite("first");
  acme.acknowledge("first", rejected);
  await world.pending.close();
  expect(world.stored).toEqual(["first"]);
});

test("only the newest ids that could not be released are retried, so that a failing store does not fill the memory", async () => {
  const { pending, heal } = startFailing();
  const ids = Array.from({ length: maxLateAcknowledgements + 1 }, (_, count) => `delivery-${count}`);
  await Promise.allSettled(ids.map((id) => pending.release("acme", id)));
  heal();
  expect(await pending.retryReleases("acme", ["delivery-0", "delivery-1"])).toEqual(new Set(["delivery-1"]));
});
