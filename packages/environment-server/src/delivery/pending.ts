/**
 * Sends of this process that wait for the device's acknowledgement. Each has one deadline and one outcome, and the outcome is stored
 * before the caller receives it; one that cannot be stored is kept here, and stored later. An acknowledgement that arrives after the
 * deadline replaces the stored `unknown` while this process runs, up to {@link maxLateAcknowledgements} sends, which tenants share. A
 * decision that the device rejects had no effect, early or late, so its ids are released, even if a report of the device had made it
 * count as accepted.
 */
import type { Clock } from "@letta-environments/platform";
import { createRunningWork, type RunningWork } from "../closing.ts";
import type { DeviceReference, EmitEvent } from "../log-events.ts";
import { createGroups, createSharedMembers, type Groups, type SharedMembers } from "../collections.ts";
import { acknowledgementTimeoutMs, maxLateAcknowledgements, maxMessageWaitMs, outcomeRetryMs } from "../limits.ts";
import { createDeferredWriter, type DeferredWriter } from "../logs/deferred-writer.ts";
import type { Delivery, DeliveryLog, DeliveryOutcome } from "../ports.ts";

/** A send without an outcome, or with one that is being stored. */
export interface PendingDelivery {
  readonly delivery: Delivery;
  /** It decides on a request for permission. A rejected decision had no effect, so its ids are released for another attempt. */
  readonly isDecision: boolean;
  /** Characters that its messages take in the queue of the device. */
  readonly length: number;
  /** Resolves when the outcome is known and stored, or could not be stored. Never rejects. */
  readonly outcome: Promise<DeliveryOutcome>;
  /** Resolves when the device has reported a send, or its outcome is known, before it is stored. Never rejects. */
  readonly ended: Promise<void>;
  /** No outcome is known yet. */
  readonly isWaiting: boolean;
  /** When its frame was written, in monotonic time; `null` before. */
  readonly sentAtMs: number | null;
  /** The outcome that follows from a report of the device, if no acknowledgement arrives; `null` without a report. */
  readonly reportedOutcome: (DeliveryOutcome & { readonly kind: "accepted" }) | null;
}

/** Facts about a send that are not stored. */
export type DeliveryFacts = Pick<PendingDelivery, "isDecision" | "length">;

/** Why the wait for an acknowledgement ended without one. */
export type WaitEndReason = "timeout" | "disconnected" | "shutdown";

/**
 * Matches acknowledgements to sends. A device can acknowledge only what was sent to its own row. A send is opened, sent, and then acknowledged; or
 * its wait ends without an acknowledgement, and it may be acknowledged or confirmed later. One that was not sent is discarded, and its ids are released.
 */
export interface PendingDeliveries {
  /** Adds a send before its ids are reserved, so that a repeat finds it here or in the store at any time. */
  open(delivery: Delivery, device: DeviceReference, facts: DeliveryFacts): PendingDelivery;
  /** Removes a send whose frame was not written. */
  discard(pending: PendingDelivery): void;
  /**
   * Starts the deadline of a send whose frame was just written. Its acknowledgement may have arrived already.
   *
   * @param requestedAtMs when its wait began, in monotonic time; at most {@link maxMessageWaitMs} of the wait count towards the deadline
   */
  markSent(pending: PendingDelivery, requestedAtMs?: number): void;
  find(environmentId: string, deliveryId: string): PendingDelivery | undefined;
  /** The outcome of a send that could not be stored yet. It takes precedence over the stored one. */
  unsavedOutcome(deliveryId: string): DeliveryOutcome | undefined;
  /** Resolves when the outcome that is being stored is stored, or could not be; `undefined` if none is. */
  outcomeWrite(deliveryId: string): Promise<unknown> | undefined;
  /** Sends to a row without an outcome. */
  listWaiting(environmentId: string): readonly PendingDelivery[];
  /** Takes an acknowledgement. Returns the send when it was waiting. Unknown ids have no effect and cost no store access. */
  acknowledge(device: DeviceReference, deliveryId: string, outcome: DeliveryOutcome): PendingDelivery | undefined;
  /**
   * Records a report that shows that the device has the messages or the decision. A device that acknowledges inputs may still reject them, so this
   * becomes the outcome only if no acknowledgement arrives.
   */
  recordReport(environmentId: string, deliveryId: string, disposition: string | null): void;
  /** Stores `accepted` for a send whose wait has ended, because its device lists its messages. No effect for a send that waits here. */
  confirm(device: DeviceReference, deliveryId: string): void;
  /**
   * Releases the ids of a send whose frame was not written. When the store fails, this process remembers it, so that a repeat does
   * not count as delivered.
   */
  release(tenant: string, deliveryId: string): Promise<void>;
  /** Releases the sends whose earlier release failed, and returns them. */
  retryReleases(tenant: string, deliveryIds: readonly string[]): Promise<ReadonlySet<string>>;
  /** Ends the wait for everything that was sent to a row: accepted where the device has reported the messages, otherwise unknown. */
  endWaits(environmentId: string, reason: WaitEndReason): void;
  /** Ends every wait. Resolves when every outcome is stored, or could not be stored once more. */
  close(): Promise<void>;
}

interface Dependencies {
  readonly clock: Clock;
  readonly log: Pick<DeliveryLog, "settle" | "release" | "forget">;
  readonly emit: EmitEvent;
  /** Called with each outcome, early or late, as soon as it is known and before it is stored. */
  readonly onOutcome?: (environmentId: string, deliveryId: string, outcome: DeliveryOutcome) => void;
}

interface Entry extends PendingDelivery {
  isWaiting: boolean;
  sentAtMs: number | null;
  reportedOutcome: PendingDelivery["reportedOutcome"];
  readonly device: DeviceReference;
  readonly resolve: (outcome: DeliveryOutcome) => void;
  readonly end: () => void;
  cancelDeadline: () => void;
}

/** An outcome that is to be stored. */
interface Settlement extends Pick<DeviceReference, "tenant" | "environmentId"> {
  readonly deliveryId: string;
  readonly outcome: DeliveryOutcome;
  readonly onStored: () => void;
}

interface UnacknowledgedSend {
  readonly deliveryId: string;
  readonly environmentId: string;
  readonly isDecision: boolean;
}

interface State extends Dependencies {
  /** By row. */
  readonly entries: Groups<Entry>;
  /** Sends that ended without an acknowledgement, by tenant. */
  readonly unacknowledged: SharedMembers<UnacknowledgedSend>;
  readonly lateWrites: RunningWork;
  /** Sends without effect whose ids could not be released, by tenant. */
  readonly unreleased: SharedMembers<string>;
  /** Stores outcomes, by delivery. */
  readonly writer: DeferredWriter<Settlement>;
}

export function createPendingDeliveries(dependencies: Dependencies): PendingDeliveries {
  const state: State = {
    ...dependencies,
    entries: createGroups(({ delivery }) => delivery.id),
    unacknowledged: createSharedMembers(maxLateAcknowledgements, ({ deliveryId }) => deliveryId),
    lateWrites: createRunningWork(),
    unreleased: createSharedMembers(maxLateAcknowledgements, (deliveryId) => deliveryId),
    writer: createSettlementWriter(dependencies),
  };
  const { entries } = state;
  return {
    open: (delivery, device, facts) => open(state, delivery, device, facts),
    discard: ({ delivery }) => void entries.delete(delivery.scope.environmentId, delivery.id),
    markSent({ delivery }, requestedAtMs = state.clock.monotonic()) {
      const entry = entries.find(delivery.scope.environmentId, delivery.id);
      if (entry?.isWaiting !== true) return;
      entry.sentAtMs = state.clock.monotonic();
      const timeoutMs = acknowledgementTimeoutMs - Math.min(maxMessageWaitMs, entry.sentAtMs - requestedAtMs);
      entry.cancelDeadline = state.clock.setTimer(timeoutMs, () => endWait(state, entry, "timeout"));
    },
    find: entries.find,
    unsavedOutcome: (deliveryId) => state.writer.unsavedChange(deliveryId)?.outcome,
    outcomeWrite: (deliveryId) => state.writer.currentWrite(deliveryId),
    listWaiting: (environmentId) => entries.of(environmentId).filter((entry) => entry.isWaiting),
    acknowledge: (device, deliveryId, outcome) => acknowledge(state, device, deliveryId, outcome),
    recordReport(environmentId, deliveryId, disposition) {
      const entry = entries.find(environmentId, deliveryId);
      if (entry === undefined) return;
      entry.reportedOutcome = { kind: "accepted", disposition };
      entry.end();
    },
    release: (tenant, deliveryId) => release(state, { tenant, deliveryId }),
    async retryReleases(tenant, deliveryIds) {
      const found = new Set(
        deliveryIds.filter((deliveryId) => state.unreleased.find(tenant, deliveryId) !== undefined),
      );
      // None of them had an effect, whatever outcome is stored.
      for (const deliveryId of found) await release(state, { tenant, deliveryId }, "forget");
      return found;
    },
    confirm(device, deliveryId) {
      if (entries.find(device.environmentId, deliveryId)?.isWaiting === true) return;
      state.unacknowledged.delete(device.tenant, deliveryId);
      storeLate(state, device, deliveryId, { isDecision: false }, { kind: "accepted", disposition: null });
    },
    endWaits(environmentId, reason) {
      for (const entry of entries.of(environmentId)) endWait(state, entry, reason);
    },
    async close() {
      const sent = entries
        .names()
        .flatMap(entries.of)
        .filter((entry) => entry.sentAtMs !== null);
      for (const entry of sent) endWait(state, entry, "shutdown");
      await Promise.all([...sent.map((entry) => entry.outcome), state.lateWrites.settled()]);
      await state.writer.close();
    },
  };
}

function open(state: State, delivery: Delivery, device: DeviceReference, facts: DeliveryFacts): Entry {
  const { promise: outcome, resolve } = Promise.withResolvers<DeliveryOutcome>();
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  const cancelDeadline = (): void => undefined;
  const entry: Entry = {
    delivery,
    device,
    ...facts,
    outcome,
    resolve,
    ended,
    end,
    isWaiting: true,
    sentAtMs: null,
    reportedOutcome: null,
    cancelDeadline,
  };
  state.entries.add(delivery.scope.environmentId, entry);
  return entry;
}

function acknowledge(
  state: State,
  device: DeviceReference,
  deliveryId: string,
  outcome: DeliveryOutcome,
): PendingDelivery | undefined {
  const entry = state.entries.find(device.environmentId, deliveryId);
  if (entry?.isWaiting === true) {
    emitAcknowledged(state, device, deliveryId, outcome, false);
    finishDelivery(state, entry, outcome);
    return entry;
  }
  const late = state.unacknowledged.find(device.tenant, deliveryId);
  if (late?.environmentId !== device.environmentId) return undefined;
  state.unacknowledged.delete(device.tenant, deliveryId);
  storeLate(state, device, deliveryId, late, outcome);
  return undefined;
}

function storeLate(
  state: State,
  device: DeviceReference,
  deliveryId: string,
  { isDecision }: Pick<PendingDelivery, "isDecision">,
  outcome: DeliveryOutcome,
): void {
  const { tenant, environmentId } = device;
  state.onOutcome?.(environmentId, deliveryId, outcome);
  const onStored = (): void => emitAcknowledged(state, device, deliveryId, outcome, true);
  void state.lateWrites.track(store(state, { tenant, environmentId, deliveryId, outcome, onStored }, isDecision));
}

function endWait(state: State, entry: Entry, reason: WaitEndReason): void {
  const { isDecision, reportedOutcome, sentAtMs, isWaiting } = entry;
  if (!isWaiting || sentAtMs === null) return;
  const { id, scope } = entry.delivery;
  // A request also disappears when its turn is stopped. A connected device rejects the decision then; one that was lost cannot.
  const outcome = isDecision && reason === "disconnected" ? null : reportedOutcome;
  if (outcome === null || isDecision)
    state.unacknowledged.add(entry.device.tenant, { deliveryId: id, environmentId: scope.environmentId, isDecision });
  if (outcome !== null) {
    emitAcknowledged(state, entry.device, id, outcome, false);
    return finishDelivery(state, entry, outcome);
  }
  state.emit({ type: "message_unacknowledged", ...entry.device, deliveryId: id, reason });
  finishDelivery(state, entry, { kind: "unknown" });
}

function finishDelivery(state: State, entry: Entry, outcome: DeliveryOutcome): void {
  entry.isWaiting = false;
  entry.cancelDeadline();
  entry.end();
  const { id, scope } = entry.delivery;
  const { environmentId } = scope;
  const { tenant } = entry.device;
  state.onOutcome?.(environmentId, id, outcome);
  const settlement = { tenant, environmentId, deliveryId: id, outcome, onStored: () => undefined };
  void store(state, settlement, entry.isDecision).then(() => {
    state.entries.delete(environmentId, id);
    entry.resolve(outcome);
  });
}

/**
 * Stores an outcome, or releases the ids of a rejected decision, even if it had counted as accepted. Resolves after the first attempt; an outcome
 * that could not be stored is stored later.
 */
async function store(state: State, settlement: Settlement, isDecision: boolean): Promise<void> {
  const { deliveryId, outcome, onStored } = settlement;
  if (!isDecision || outcome.kind !== "rejected") {
    const unsaved = state.writer.unsavedChange(deliveryId)?.outcome;
    // As in the store, only an unknown outcome is replaced.
    if (unsaved === undefined || unsaved.kind === "unknown") await state.writer.writeNow(deliveryId, settlement);
    return;
  }
  await release(state, settlement, "forget").catch((cause: unknown) =>
    state.emit({ type: "store_failed", operation: "release", cause }),
  );
  onStored();
}

function createSettlementWriter({ clock, log, emit }: Dependencies): State["writer"] {
  const settle = async (settlement: Settlement): Promise<void> => {
    const { deliveryId, environmentId, outcome, onStored } = settlement;
    if (await log.settle(deliveryId, environmentId, outcome)) onStored();
    // It is not stored again if the write fails because of another outcome.
    if (writer.unsavedChange(deliveryId) === settlement) writer.cancel(deliveryId);
  };
  const writer: State["writer"] = createDeferredWriter({
    clock,
    delayMs: outcomeRetryMs,
    maxWaiting: maxLateAcknowledgements,
    ownerOf: ({ tenant }) => tenant,
    async write(settlements) {
      const results = await Promise.allSettled(settlements.map(settle));
      const failed = results.find(({ status }) => status === "rejected");
      if (failed?.status === "rejected") throw failed.reason;
    },
    // The caller still receives the outcome.
    onFailure: (cause) => emit({ type: "store_failed", operation: "settle", cause }),
  });
  return writer;
}

async function release(
  { log, unreleased }: State,
  { tenant, deliveryId }: Pick<Settlement, "tenant" | "deliveryId">,
  operation: "release" | "forget" = "release",
): Promise<void> {
  // Until the store has done it, a repeat finds the reservation.
  unreleased.add(tenant, deliveryId);
  await log[operation](deliveryId);
  unreleased.delete(tenant, deliveryId);
}

function emitAcknowledged(
  { emit }: State,
  device: DeviceReference,
  deliveryId: string,
  outcome: DeliveryOutcome,
  late: boolean,
): void {
  const accepted = outcome.kind === "accepted";
  const disposition = accepted ? outcome.disposition : null;
  emit({ type: "message_acknowledged", ...device, deliveryId, accepted, disposition, late });
}
