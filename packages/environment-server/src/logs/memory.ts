/** Logs in memory, for programs that need no messages, requests for permission or events after a restart. */
import { hasEnded } from "@letta-environments/schema";
import {
  type ApprovalLogLimits,
  keyOf,
  serialiseKey,
  type StoredApproval,
  withoutDecidedInput,
} from "../approval-log.ts";
import {
  type ChangeLimits,
  type ChangeLog,
  type ChangeLogState,
  type ChangePage,
  type ChangeRecording,
  type ChangeSelection,
  formerOfNext,
  sizeOfChange,
  type StoredChange,
} from "../change-log.ts";
import { dropOldest } from "../collections.ts";
import { approvalLogLimits, changeLimits, changePageLimits, messageLogLimits } from "../limits.ts";
import type { SeparateApprovalLog, SeparateMessageLog } from "./separate.ts";
import {
  comparePositions,
  latestFirst,
  type MessageLogLimits,
  positionOf,
  type StoredMessage,
  withoutReply,
} from "../message-log.ts";

/** Creates a {@link SeparateMessageLog} that lasts as long as the process. Every method reads all messages. */
export function createMemoryMessageLog({
  durationMs,
  maxPerRow,
  maxMessages,
  maxReplies,
}: MessageLogLimits = messageLogLimits): SeparateMessageLog {
  const messages = new Map<string, StoredMessage>();
  const removedRows = createRemovedRows();

  const ofRow = (environmentId: string): StoredMessage[] =>
    latestFirst([...messages.values()].filter(({ scope }) => scope.environmentId === environmentId));

  /** Removes the oldest of these messages, those that have ended first. */
  function removeOldest(candidates: readonly StoredMessage[], count: number): void {
    const [ended, open] = partition(latestFirst(candidates).toReversed());
    for (const message of [...ended, ...open].slice(0, count)) messages.delete(messageKeyOf(message));
  }

  return {
    async saveMessages(saved) {
      for (const message of saved) {
        const before = messages.get(messageKeyOf(message));
        const isLate =
          before?.deliveryId === message.deliveryId && hasEnded(before.status) && !hasEnded(message.status);
        if (!isLate && !removedRows.has(message.scope.environmentId)) messages.set(messageKeyOf(message), message);
      }
    },
    async readMessages(environmentId, messageId, limit) {
      return ofRow(environmentId)
        .filter((message) => message.messageId === messageId)
        .slice(0, limit);
    },
    async listMessages({ environmentId, after, withReplies, limit }) {
      return ofRow(environmentId)
        .filter((message) => after === null || comparePositions(positionOf(message), after) > 0)
        .slice(0, limit)
        .map((message) => (withReplies ? message : withoutReply(message)));
    },
    async findOpenMessages(environmentId, limit) {
      return ofRow(environmentId)
        .filter(({ status }) => !hasEnded(status))
        .slice(0, limit);
    },
    async pruneMessages(nowMs, limit) {
      const old = [...messages.values()].filter(({ sentAt }) => sentAt <= nowMs - durationMs);
      for (const message of latestFirst(old).toReversed().slice(0, limit)) messages.delete(messageKeyOf(message));
      if (old.length >= limit) return true;
      for (const row of Map.groupBy(messages.values(), ({ scope }) => scope.environmentId).values()) {
        if (row.length <= maxPerRow) continue;
        removeOldest(row, Math.min(row.length - maxPerRow, limit));
        return true;
      }
      const all = [...messages.values()];
      if (all.length > maxMessages) {
        const ofTenant = largestGroup(all, ({ tenant, scope }) => tenant ?? scope.environmentId);
        const row = largestGroup(ofTenant, ({ scope }) => scope.environmentId);
        removeOldest(row, Math.min(all.length - maxMessages, limit));
        return true;
      }
      const length = all.reduce((sum, { status }) => sum + (status.reply?.text.length ?? 0), 0);
      const ended = length > maxReplies ? all.filter(({ status }) => hasEnded(status)) : [];
      removeOldest(ended, limit);
      return ended.length > 0;
    },
    async removeRows(environmentIds) {
      removedRows.add(environmentIds);
      for (const [key, { scope }] of messages) if (removedRows.has(scope.environmentId)) messages.delete(key);
    },
  };
}

/** Separates the messages that have ended from the others. */
function partition(messages: readonly StoredMessage[]): [ended: StoredMessage[], open: StoredMessage[]] {
  return [messages.filter(({ status }) => hasEnded(status)), messages.filter(({ status }) => !hasEnded(status))];
}

function largestGroup(
  messages: readonly StoredMessage[],
  groupOf: (message: StoredMessage) => string,
): readonly StoredMessage[] {
  const groups = [...Map.groupBy(messages, groupOf).values()];
  return groups.toSorted((left, right) => right.length - left.length)[0] ?? [];
}

function messageKeyOf({ scope, messageId }: StoredMessage): string {
  return JSON.stringify([scope.environmentId, scope.agentId, scope.conversationId, messageId]);
}

/** Creates a {@link SeparateApprovalLog} that lasts as long as the process. */
export function createMemoryApprovalLog({
  durationMs,
  maxDecisions,
}: ApprovalLogLimits = approvalLogLimits): SeparateApprovalLog {
  const removedRows = createRemovedRows();
  const approvals = new Map<string, StoredApproval>();

  const decided = (): StoredApproval[] =>
    [...approvals.values()]
      .filter(({ decision }) => decision !== null)
      .toSorted((left, right) => decidedAt(left) - decidedAt(right));

  return {
    async saveApprovals(saved, removed) {
      for (const key of removed) {
        const text = serialiseKey(key);
        if (approvals.get(text)?.decision === null) approvals.delete(text);
      }
      for (const approval of saved)
        if (!removedRows.has(approval.scope.environmentId))
          approvals.set(serialiseKey(keyOf(approval)), withoutDecidedInput(approval));
    },
    async findPendingApprovals(limit, environmentId) {
      const pending = [...approvals.values()].filter(
        ({ decision, scope }) =>
          decision === null && (environmentId === undefined || scope.environmentId === environmentId),
      );
      return pending.toSorted((left, right) => left.requestedAt - right.requestedAt).slice(0, limit);
    },
    async findDecidedApproval(key) {
      const approval = approvals.get(serialiseKey(key));
      return approval === undefined || approval.decision === null ? null : approval;
    },
    async pruneApprovals(nowMs, limit) {
      const all = decided();
      const old = all.filter((approval) => decidedAt(approval) <= nowMs - durationMs).length;
      const excess = Math.max(old, all.length - maxDecisions);
      for (const approval of all.slice(0, Math.min(excess, limit))) approvals.delete(serialiseKey(keyOf(approval)));
      return excess >= limit;
    },
    async removeRows(environmentIds) {
      removedRows.add(environmentIds);
      for (const [text, { scope }] of approvals) if (removedRows.has(scope.environmentId)) approvals.delete(text);
    },
  };
}

function decidedAt({ decision }: StoredApproval): number {
  return decision?.decidedAt ?? Infinity;
}

/** Removed rows that a log remembers. The oldest are forgotten first. */
const maxRemovedRows = 10_000;

/** Remembers the rows that were removed lately. Ids of rows are never used again. */
function createRemovedRows() {
  const ids = new Set<string>();
  return {
    add(environmentIds: readonly string[]): void {
      for (const id of environmentIds) ids.add(id);
      dropOldest(ids, maxRemovedRows);
    },
    has: (environmentId: string): boolean => ids.has(environmentId),
  };
}

/** Creates a {@link ChangeLog} that lasts as long as the process. `epoch` has at least 16 lower-case hexadecimal digits that nobody can guess. */
export function createMemoryChangeLog(epoch: string, limits: ChangeLimits = changeLimits): ChangeLog {
  let state: ChangeLogState = { epoch, lastPosition: 0, removedThrough: 0, outputRemovedThrough: 0, former: [] };
  const recordings = new Map<string, ChangeRecording>();
  const logs = { events: new Map<number, StoredChange>(), output: new Map<number, StoredChange>() };
  const sizes = { events: 0, output: 0 };
  type Part = keyof typeof logs;

  const partOf = ({ kind }: Pick<StoredChange, "kind">): Part => (kind === "output" ? "output" : "events");

  function remove(part: Part, change: StoredChange): void {
    logs[part].delete(change.position);
    sizes[part] -= sizeOfChange(change);
    const { position } = change;
    state = { ...state, ...(part === "output" ? { outputRemovedThrough: position } : { removedThrough: position }) };
  }

  function removeWhile(part: Part, mustGo: (change: StoredChange) => boolean, limit: number): number {
    let count = 0;
    for (const change of logs[part].values()) {
      if (count >= limit || !mustGo(change)) break;
      remove(part, change);
      count += 1;
    }
    return count;
  }

  return {
    async appendChanges(changes, nowMs, newEpoch = state.epoch) {
      if (newEpoch !== state.epoch) state = { ...state, epoch: newEpoch, former: formerOfNext(state) };
      const first = state.lastPosition + 1;
      for (const [index, change] of changes.entries()) {
        const part = partOf(change);
        const position = first + index;
        logs[part].set(position, { ...change, position, storedAt: nowMs });
        sizes[part] += sizeOfChange(change);
      }
      state = { ...state, lastPosition: state.lastPosition + changes.length };
      for (const part of ["events", "output"] as const)
        removeWhile(part, () => sizes[part] > limits[part].maxSize, Number.POSITIVE_INFINITY);
      return { first, epoch: newEpoch };
    },
    async readChanges({ tenant, after, includesOutput, deviceIds }: ChangeSelection): Promise<ChangePage> {
      const all = [...logs.events.values(), ...(includesOutput ? logs.output.values() : [])]
        .filter((change) => change.tenant === tenant && change.position > after)
        .filter((change) => deviceIds === null || deviceIds.includes(change.deviceId))
        .toSorted((left, right) => left.position - right.position);
      return toPage(all, after, state);
    },
    readChangeLog: () => Promise.resolve(state),
    async restartChangeLog(next) {
      for (const part of ["events", "output"] as const) {
        logs[part].clear();
        sizes[part] = 0;
      }
      const { lastPosition } = state;
      state = {
        epoch: next,
        lastPosition,
        removedThrough: lastPosition,
        outputRemovedThrough: lastPosition,
        former: [],
      };
    },
    async listRecordings() {
      return [...recordings.values()];
    },
    async saveRecording(recording) {
      recordings.set(recording.tenant, recording);
    },
    async pruneChanges(nowMs, limit) {
      let removed = 0;
      for (const part of ["events", "output"] as const)
        removed += removeWhile(part, ({ storedAt }) => storedAt <= nowMs - limits[part].durationMs, limit);
      for (const { tenant, untilMs } of recordings.values()) if (untilMs <= nowMs) recordings.delete(tenant);
      return removed >= limit;
    },
  };
}

/** Returns the first page of the changes that match: as many as `changePageLimits` permits. */
function toPage(all: readonly StoredChange[], after: number, { lastPosition, ...rest }: ChangeLogState): ChangePage {
  const changes: StoredChange[] = [];
  let size = 0;
  for (const change of all) {
    size += sizeOfChange(change);
    if (changes.length >= changePageLimits.changes || (changes.length > 0 && size > changePageLimits.size)) break;
    changes.push(change);
  }
  const hasMore = changes.length < all.length;
  const through = hasMore ? (changes.at(-1)?.position ?? after) : Math.max(after, lastPosition);
  return { changes, through, hasMore, ...rest };
}
