/**
 * Stores the pending requests. A device that reports a request sends it again and again, so changes wait for at most a second, and a
 * request that is over by then is not written at all. A decision is written at once, so that it shares the commit of its send.
 */
import type { Clock } from "@letta-environments/platform";
import type { ApprovalKey, ApprovalLog, StoredApproval } from "../approval-log.ts";
import type { EmitEvent } from "../events.ts";
import { approvalWriteDelayMs, maintenanceBatchSize } from "../limits.ts";
import { keyOf, keyText } from "./register.ts";

/** Stores pending requests and decisions. */
export interface ApprovalWriter {
  /** Stores a request within a second. */
  save(approval: StoredApproval): void;
  /** Removes a pending request within a second. */
  remove(approval: StoredApproval): void;
  /** Stores a request now. Never rejects: a failure is reported. */
  saveNow(approval: StoredApproval): Promise<void>;
  /** Stores everything. Resolves when it is done. */
  flush(): Promise<void>;
}

/** Creates an {@link ApprovalWriter}. */
export function createApprovalWriter({
  clock,
  log,
  emit,
}: {
  readonly clock: Clock;
  readonly log: Pick<ApprovalLog, "saveApprovals">;
  readonly emit: EmitEvent;
}): ApprovalWriter {
  const changed = new Map<string, { readonly approval: StoredApproval; readonly isRemoved: boolean }>();
  const running = new Set<Promise<void>>();
  let cancelTimer: (() => void) | null = null;

  function write(saved: readonly StoredApproval[], removed: readonly ApprovalKey[]): Promise<void> {
    const writing = log
      .saveApprovals(saved, removed)
      .catch((cause: unknown) => emit({ type: "store_failed", operation: "saveApprovals", cause }))
      .finally(() => void running.delete(writing));
    running.add(writing);
    return writing;
  }

  function writeChanged(): void {
    cancelTimer?.();
    cancelTimer = null;
    const changes = [...changed.values()];
    changed.clear();
    for (let start = 0; start < changes.length; start += maintenanceBatchSize) {
      const batch = changes.slice(start, start + maintenanceBatchSize);
      void write(
        batch.filter(({ isRemoved }) => !isRemoved).map(({ approval }) => approval),
        batch.filter(({ isRemoved }) => isRemoved).map(({ approval }) => keyOf(approval)),
      );
    }
  }

  function change(approval: StoredApproval, isRemoved: boolean): void {
    changed.set(keyText(keyOf(approval)), { approval, isRemoved });
    cancelTimer ??= clock.setTimer(approvalWriteDelayMs, writeChanged);
  }

  return {
    save: (approval) => change(approval, false),
    remove: (approval) => change(approval, true),
    saveNow(approval) {
      changed.delete(keyText(keyOf(approval)));
      return write([approval], []);
    },
    async flush() {
      writeChanged();
      await Promise.all(running);
    },
  };
}
