/**
 * Stores the pending requests and the decisions on them. A device that reports a request sends it again and again, so changes wait for at most a
 * second, and a request that is over by then is not written at all. A decision is written immediately, so that it shares the commit of its send.
 */
import type { Clock } from "@letta-environments/platform";
import { type ApprovalKey, type ApprovalLog, keyOf, serialiseKey, type StoredApproval } from "../approval-log.ts";
import type { EmitEvent } from "../log-events.ts";
import { approvalWriteDelayMs, maxUnsavedApprovals } from "../limits.ts";
import { createDeferredWriter } from "../logs/deferred-writer.ts";

export interface ApprovalWriter {
  /** Stores a request within a second. */
  save(approval: StoredApproval): void;
  /** Removes a pending request within a second. */
  remove(approval: StoredApproval): void;
  /** Stores a request now. Never rejects: a failure is reported, and the write repeated. */
  saveNow(approval: StoredApproval): Promise<boolean>;
  /** A request as it will be stored; `undefined` when the log has its last state. */
  unsavedApproval(key: ApprovalKey): StoredApproval | undefined;
  /** Stores everything now. Resolves with whether that succeeded. */
  flush(): Promise<boolean>;
  /** Stores everything once more; nothing is written afterwards. */
  close(): Promise<void>;
}

/** The state of a request that is to be stored. */
interface Change {
  readonly approval: StoredApproval;
  readonly isRemoved: boolean;
}

export function createApprovalWriter({
  clock,
  log,
  emit,
}: {
  readonly clock: Clock;
  readonly log: Pick<ApprovalLog, "saveApprovals">;
  readonly emit: EmitEvent;
}): ApprovalWriter {
  const writer = createDeferredWriter<Change>({
    clock,
    delayMs: approvalWriteDelayMs,
    maxWaiting: maxUnsavedApprovals,
    ownerOf: ({ approval }) => approval.tenant,
    write(changes) {
      const saved = changes.filter(({ isRemoved }) => !isRemoved).map(({ approval }) => approval);
      const removed = changes.filter(({ isRemoved }) => isRemoved).map(({ approval }) => keyOf(approval));
      return log.saveApprovals(saved, removed);
    },
    onFailure: (cause) => emit({ type: "store_failed", operation: "saveApprovals", cause }),
  });
  return {
    save: (approval) => writer.writeLater(serialiseKey(keyOf(approval)), { approval, isRemoved: false }),
    remove: (approval) => writer.writeLater(serialiseKey(keyOf(approval)), { approval, isRemoved: true }),
    saveNow: (approval) => writer.writeNow(serialiseKey(keyOf(approval)), { approval, isRemoved: false }),
    unsavedApproval: (key) => writer.unsavedChange(serialiseKey(key))?.approval,
    flush: writer.flush,
    close: writer.close,
  };
}
