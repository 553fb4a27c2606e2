/**
 * Stores the pending requests. A device that reports a request sends it again and again, so changes wait for at most a second, and a
 * request that is over by then is not written at all. A decision is written at once, so that it shares the commit of its send. What could not
 * be stored is written again until a later change replaces it: otherwise the log would name an earlier decision than the device took.
 */
import type { Clock } from "@letta-environments/platform";
import type { ApprovalKey, ApprovalLog, StoredApproval } from "../approval-log.ts";
import { dropOldest } from "../drop-oldest.ts";
import type { EmitEvent } from "../events.ts";
import { approvalWriteDelayMs, maintenanceBatchSize, maxUnsavedApprovals } from "../limits.ts";
import { keyOf, keyText } from "./register.ts";

/** Stores pending requests and decisions. */
export interface ApprovalWriter {
  /** Stores a request within a second. */
  save(approval: StoredApproval): void;
  /** Removes a pending request within a second. */
  remove(approval: StoredApproval): void;
  /** Stores a request now. Never rejects: a failure is reported, and the write repeated. */
  saveNow(approval: StoredApproval): Promise<void>;
  /** A request as it will be stored; `undefined` when the log has its last state. */
  unsaved(key: ApprovalKey): StoredApproval | undefined;
  /** Stores everything once more. Resolves when it is done; nothing is written afterwards. */
  close(): Promise<void>;
}

/** The state of a request that is to be stored. */
interface Change {
  readonly approval: StoredApproval;
  readonly isRemoved: boolean;
}

/** A write that has begun, or waits for an earlier one of the same request. */
interface Write {
  readonly change: Change;
  readonly done: Promise<void>;
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
  const waiting = new Map<string, Change>();
  /** The last write of each request. */
  const writes = new Map<string, Write>();
  let cancelTimer: (() => void) | null = null;
  let isClosed = false;

  function later(text: string, change: Change): void {
    waiting.set(text, change);
    dropOldest(waiting, maxUnsavedApprovals);
    if (!isClosed) cancelTimer ??= clock.setTimer(approvalWriteDelayMs, writeWaiting);
  }

  /** Begins after the earlier writes of the same requests, which may take longer than this one. */
  function write(changes: ReadonlyMap<string, Change>): Promise<void> {
    const all = [...changes.values()];
    const saved = all.filter(({ isRemoved }) => !isRemoved).map(({ approval }) => approval);
    const removed = all.filter(({ isRemoved }) => isRemoved).map(({ approval }) => keyOf(approval));
    const earlier = new Set([...changes.keys()].flatMap((text) => writes.get(text)?.done ?? []));
    const begin = (): Promise<void> => log.saveApprovals(saved, removed);
    const done: Promise<void> = (earlier.size === 0 ? begin() : Promise.all(earlier).then(begin)).then(
      () => void ended(changes, done),
      (cause: unknown) => {
        emit({ type: "store_failed", operation: "saveApprovals", cause });
        for (const [text, change] of ended(changes, done)) if (!waiting.has(text)) later(text, change);
      },
    );
    for (const [text, change] of changes) writes.set(text, { change, done });
    return done;
  }

  /** Forgets a write. Returns its changes that no later write replaces. */
  function ended(changes: ReadonlyMap<string, Change>, done: Promise<void>): readonly (readonly [string, Change])[] {
    const last = [...changes].filter(([text]) => writes.get(text)?.done === done);
    for (const [text] of last) writes.delete(text);
    return last;
  }

  function writeWaiting(): void {
    cancelTimer?.();
    cancelTimer = null;
    const changes = [...waiting];
    waiting.clear();
    for (let start = 0; start < changes.length; start += maintenanceBatchSize)
      void write(new Map(changes.slice(start, start + maintenanceBatchSize)));
  }

  return {
    save: (approval) => later(keyText(keyOf(approval)), { approval, isRemoved: false }),
    remove: (approval) => later(keyText(keyOf(approval)), { approval, isRemoved: true }),
    saveNow(approval) {
      const text = keyText(keyOf(approval));
      waiting.delete(text);
      return write(new Map([[text, { approval, isRemoved: false }]]));
    },
    unsaved(key) {
      const text = keyText(key);
      return (waiting.get(text) ?? writes.get(text)?.change)?.approval;
    },
    async close() {
      isClosed = true;
      writeWaiting();
      await Promise.all([...writes.values()].map(({ done }) => done));
    },
  };
}
