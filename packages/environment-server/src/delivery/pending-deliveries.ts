import type { Clock } from "@letta-environments/platform";
import type { DeviceReference, EmitEvent } from "../events.ts";
import { acknowledgementTimeoutMs } from "../limits.ts";
import type { Delivery, DeliveryLog, DeliveryOutcome } from "../ports.ts";

/** A send of this process that has no outcome yet, or whose outcome is just being stored. */
export interface PendingDelivery {
  readonly delivery: Delivery;
  /** Resolves when the outcome is known and stored; never rejects. */
  readonly outcome: Promise<DeliveryOutcome>;
  /** No outcome is known. */
  readonly waiting: boolean;
}

/** Why a send is given up. */
export type GiveUpReason = "timeout" | "disconnected" | "shutdown";

/** Matches acknowledgements to sends. A row's device can only acknowledge what was sent to that row. */
export interface PendingDeliveries {
  /** Makes a send known before it is reserved, so that a repeat finds one or the other at any time. */
  open(delivery: Delivery, device: DeviceReference): PendingDelivery;
  /** Forgets a send of which nothing was written. */
  discard(pending: PendingDelivery): void;
  /** Starts the wait for the acknowledgement of a frame that was just written; it may have come already. */
  markSent(pending: PendingDelivery): void;
  find(environmentId: string, deliveryId: string): PendingDelivery | undefined;
  /** Sends to a row without an outcome. */
  waiting(environmentId: string): readonly PendingDelivery[];
  /** Takes what a device said about a send. After the deadline it still replaces the stored `unknown`. */
  acknowledge(device: DeviceReference, deliveryId: string, outcome: DeliveryOutcome): PendingDelivery | undefined;
  /** Ends the wait for everything that was sent to a row; what is not sent yet is left to its sender. */
  giveUp(environmentId: string, reason: GiveUpReason): void;
  /** Ends every wait; resolves when everything that is known is stored. */
  close(): Promise<void>;
}

interface Entry extends PendingDelivery {
  waiting: boolean;
  sent: boolean;
  readonly device: DeviceReference;
  readonly resolve: (outcome: DeliveryOutcome) => void;
  cancelDeadline: () => void;
}

/** Creates {@link PendingDeliveries}. */
export function createPendingDeliveries(options: {
  readonly clock: Clock;
  readonly log: Pick<DeliveryLog, "settle">;
  readonly emit: EmitEvent;
}): PendingDeliveries {
  const { clock, log, emit } = options;
  const entries = new Map<string, Map<string, Entry>>();
  const lateWrites = new Set<Promise<void>>();

  function find(environmentId: string, deliveryId: string): Entry | undefined {
    return entries.get(environmentId)?.get(deliveryId);
  }

  function remove({ delivery }: PendingDelivery): void {
    const ofRow = entries.get(delivery.scope.environmentId);
    ofRow?.delete(delivery.id);
    if (ofRow?.size === 0) entries.delete(delivery.scope.environmentId);
  }

  async function store(deliveryId: string, environmentId: string, outcome: DeliveryOutcome): Promise<boolean> {
    try {
      return await log.settle(deliveryId, environmentId, outcome);
    } catch (cause) {
      // The device has spoken and the caller is told so. The reservation is stored, so a repeat will not run it again.
      emit({ type: "store_failed", operation: "settle", cause });
      return false;
    }
  }

  function conclude(entry: Entry, outcome: DeliveryOutcome): void {
    entry.waiting = false;
    entry.cancelDeadline();
    void store(entry.delivery.id, entry.delivery.scope.environmentId, outcome).then(() => {
      remove(entry);
      entry.resolve(outcome);
    });
  }

  function giveUpEntry(entry: Entry, reason: GiveUpReason): void {
    if (!entry.waiting || !entry.sent) return;
    emit({ type: "message_unacknowledged", ...entry.device, deliveryId: entry.delivery.id, reason });
    conclude(entry, { kind: "unknown" });
  }

  function emitAcknowledged(
    device: DeviceReference,
    deliveryId: string,
    outcome: DeliveryOutcome,
    late: boolean,
  ): void {
    const disposition = outcome.kind === "accepted" ? outcome.disposition : null;
    emit({
      type: "message_acknowledged",
      ...device,
      deliveryId,
      accepted: outcome.kind === "accepted",
      disposition,
      late,
    });
  }

  async function storeLate(device: DeviceReference, deliveryId: string, outcome: DeliveryOutcome): Promise<void> {
    const stored = await store(deliveryId, device.environmentId, outcome);
    if (stored) emitAcknowledged(device, deliveryId, outcome, true);
  }

  return {
    open(delivery, device) {
      const { promise, resolve } = withResolvers<DeliveryOutcome>();
      const cancelDeadline = (): void => undefined;
      const entry: Entry = { delivery, device, outcome: promise, resolve, waiting: true, sent: false, cancelDeadline };
      const { environmentId } = delivery.scope;
      const ofRow = entries.get(environmentId) ?? new Map<string, Entry>();
      entries.set(environmentId, ofRow.set(delivery.id, entry));
      return entry;
    },
    discard: remove,
    markSent({ delivery }) {
      const entry = find(delivery.scope.environmentId, delivery.id);
      if (entry?.waiting !== true) return;
      entry.sent = true;
      entry.cancelDeadline = clock.setTimer(acknowledgementTimeoutMs, () => giveUpEntry(entry, "timeout"));
    },
    find,
    waiting: (environmentId) => [...(entries.get(environmentId)?.values() ?? [])].filter((entry) => entry.waiting),
    acknowledge(device, deliveryId, outcome) {
      const entry = find(device.environmentId, deliveryId);
      if (entry?.waiting === true) {
        emitAcknowledged(device, deliveryId, outcome, false);
        conclude(entry, outcome);
        return entry;
      }
      const write = storeLate(device, deliveryId, outcome);
      lateWrites.add(write);
      void write.finally(() => lateWrites.delete(write));
      return undefined;
    },
    giveUp(environmentId, reason) {
      for (const entry of entries.get(environmentId)?.values() ?? []) giveUpEntry(entry, reason);
    },
    async close() {
      const sent = [...entries.values()].flatMap((ofRow) => [...ofRow.values()]).filter((entry) => entry.sent);
      for (const entry of sent) giveUpEntry(entry, "shutdown");
      await Promise.all([...sent.map((entry) => entry.outcome), ...lateWrites]);
    },
  };
}

/** `Promise.withResolvers`, which ES2023 does not have. */
function withResolvers<Value>(): { promise: Promise<Value>; resolve: (value: Value) => void } {
  let resolve: (value: Value) => void = () => undefined;
  const promise = new Promise<Value>((resolvePromise) => {
    resolve = resolvePromise;
  });
  return { promise, resolve };
}
