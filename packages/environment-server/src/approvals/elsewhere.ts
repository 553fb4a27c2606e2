/**
 * Keeps the pending requests in memory correct when several servers share a store, and devices move between them: the server with the socket of a device
 * stores what becomes of its requests, and another server does not learn of it. So a row is read again before its device connects, and is forgotten once
 * its device is connected elsewhere.
 */
import { keyOf } from "../approval-log.ts";
import { maxApprovalsPerDevice, maxPolicyReadMs } from "../limits.ts";
import { add, type ApprovalState, remove } from "./state.ts";

/** Forgets the requests of a row whose device is connected to another server. They stay stored, and nothing is reported. */
export function release(state: ApprovalState, environmentId: string): void {
  if (state.devices.has(environmentId)) return;
  // One whose decision was sent from here ends with its outcome.
  for (const entry of state.pending.ofEnvironment(environmentId)) if (entry.sent === null) remove(state, entry);
}

/**
 * Reads the requests of a row whose device is about to connect, as after a restart. A store that is slow or fails does not keep the device from connecting:
 * then the known ones stay. Never rejects.
 */
export async function refresh(state: ApprovalState, environmentId: string, owner: string): Promise<void> {
  const { clock, devices, emit, log, pending, writer } = state;
  if (devices.has(environmentId)) return;
  const isLate = Promise.withResolvers<null>();
  const cancel = clock.setTimer(maxPolicyReadMs, () => isLate.resolve(null));
  const reading = writer
    .flush()
    .then((isStored) => (isStored ? log.findPendingApprovals(maxApprovalsPerDevice, environmentId) : null))
    .catch((cause: unknown) => {
      emit({ type: "store_failed", operation: "findPendingApprovals", cause });
      return null;
    });
  const stored = await Promise.race([reading, isLate.promise]);
  cancel();
  // A device that has connected meanwhile has told more.
  if (stored === null || devices.has(environmentId)) return;
  release(state, environmentId);
  for (const approval of stored) if (pending.find(keyOf(approval)) === undefined) add(state, approval, owner);
}
