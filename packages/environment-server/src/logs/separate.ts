/**
 * Logs that are kept outside of the store of the rows, such as in Valkey or in memory, while the rows are in SQLite. That store
 * removes a row with everything that belongs to it; a separate log is called for that.
 */
import type { ApprovalLog } from "../approval-log.ts";
import type { ChangeLog } from "../change-log.ts";
import { dropOldest } from "../collections.ts";
import type { MessageLog } from "../message-log.ts";
import type { EnvironmentStore } from "../ports.ts";

/** A log that is not in the store of the rows. */
export interface SeparateLog {
  /**
   * Removes the entries of rows that no longer exist. For a while, new entries of these rows are ignored, because a write may still be in
   * progress.
   */
  removeRows(environmentIds: readonly string[]): Promise<void>;
}

/** A {@link MessageLog} that is not in the store of the rows. */
export type SeparateMessageLog = MessageLog & SeparateLog;

/** An {@link ApprovalLog} that is not in the store of the rows. */
export type SeparateApprovalLog = ApprovalLog & SeparateLog;

/** Logs that replace logs of a store. The others stay in the store. */
export interface SeparateLogs {
  readonly messages?: SeparateMessageLog;
  readonly approvals?: SeparateApprovalLog;
  /** Changes of a row stay when the row is removed, because its removal is also a change. */
  readonly changes?: ChangeLog;
}

/** Removed rows that a log could not forget. The server asks the log again. The oldest rows are dropped first, and expire by their retention. */
const maxPendingRemovals = 10_000;

/**
 * Creates a store that keeps rows and message ids in `store`, and messages, approvals or changes in other logs. When rows are removed, the
 * logs forget them. A log that fails then does not undo the removal: the server repeats the request before it prunes the log.
 */
export function withSeparateLogs(
  store: EnvironmentStore,
  { messages, approvals, changes }: SeparateLogs,
): EnvironmentStore {
  const followers = [messages, approvals].filter((log) => log !== undefined).map(createFollower);
  const forget = async (environmentIds: readonly string[]): Promise<void> => {
    if (environmentIds.length > 0) await Promise.all(followers.map((follower) => follower.forget(environmentIds)));
  };
  const retryRemovals = async (): Promise<void> => {
    for (const follower of followers) await follower.retryRemovals();
  };
  return {
    ...store,
    get savedTime() {
      return store.savedTime;
    },
    ...(messages !== undefined && pickMessages(messages)),
    ...(approvals !== undefined && pickApprovals(approvals)),
    ...(changes !== undefined && pickChanges(changes)),
    async prune(nowMs, limit) {
      const mayBeMore = await store.prune(nowMs, limit);
      await retryRemovals();
      return mayBeMore;
    },
    async removeEnvironments(environmentIds) {
      await store.removeEnvironments(environmentIds);
      await forget(environmentIds);
    },
    async finishRemoval(environmentIds) {
      await Promise.all([store.finishRemoval(environmentIds), forget(environmentIds)]);
    },
  };
}

/** Makes a log forget removed rows, and remembers those that it could not forget. */
function createFollower(log: SeparateLog) {
  const pendingRemovals = new Set<string>();

  async function retryRemovals(): Promise<void> {
    const environmentIds = [...pendingRemovals];
    if (environmentIds.length === 0) return;
    await log.removeRows(environmentIds);
    for (const environmentId of environmentIds) pendingRemovals.delete(environmentId);
  }

  return {
    /** Rejects when the log fails. */
    retryRemovals,
    /** Never rejects. */
    async forget(environmentIds: readonly string[]): Promise<void> {
      for (const environmentId of environmentIds) pendingRemovals.add(environmentId);
      dropOldest(pendingRemovals, maxPendingRemovals);
      await retryRemovals().catch(() => undefined);
    },
  };
}

function pickMessages(log: MessageLog): MessageLog {
  const { saveMessages, readMessages, listMessages, findOpenMessages, pruneMessages } = log;
  return { saveMessages, readMessages, listMessages, findOpenMessages, pruneMessages };
}

function pickApprovals(log: ApprovalLog): ApprovalLog {
  const { saveApprovals, findPendingApprovals, findDecidedApproval, pruneApprovals } = log;
  return { saveApprovals, findPendingApprovals, findDecidedApproval, pruneApprovals };
}

function pickChanges(log: ChangeLog): ChangeLog {
  const { appendChanges, readChanges, readChangeLog, restartChangeLog } = log;
  const { listRecordings, saveRecording, pruneChanges } = log;
  return { appendChanges, readChanges, readChangeLog, restartChangeLog, listRecordings, saveRecording, pruneChanges };
}
