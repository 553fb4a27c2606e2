/**
 * The modes that were written to a device and that it has not reported yet. A message that is written after them may run in any of them. A device
 * handles changes in the order in which they were written and reports each, but a `runtime_start` takes its time, and is answered when it is done.
 */
import { isSameMode } from "@letta-environments/schema";
import type { Conversation } from "../dialects/conversation.ts";
import { maxUnreportedModes } from "../limits.ts";
import { modeKeyOf } from "./conversation-modes.ts";

/** A mode that leaves for a device. */
export interface WrittenMode {
  readonly conversation: Conversation;
  readonly mode: string;
  /** Of a `runtime_start`, whose response says that it has been handled; `null` for a change, which the device reports. */
  readonly requestId: string | null;
}

export interface UnreportedModes {
  /** Adds a mode before its frame is written. */
  add(environmentId: string, written: WrittenMode): void;
  /** Removes a mode whose frame could not be written. */
  remove(environmentId: string, written: WrittenMode): void;
  /** Takes the refusal of a change. It answers the change of the conversation that was written first. */
  refused(environmentId: string, conversation: Conversation): void;
  /**
   * Takes a report.
   *
   * @param isNew the conversation reported another mode before
   */
  reported(environmentId: string, conversation: Conversation, mode: string | null, isNew: boolean): void;
  /** Removes the mode of an answered `runtime_start`, and returns its conversation. It may have the mode now, even after a failure. */
  answered(environmentId: string, requestId: string): Conversation | null;
  /** The modes that may still take effect in a conversation. */
  of(environmentId: string, conversation: Conversation): readonly string[];
  /** Forgets a row whose socket has ended: on the next one, the device reports every mode again. */
  forget(environmentId: string): void;
}

interface RowModes {
  /** The one that was written first comes first. */
  written: readonly WrittenMode[];
  /** Modes that no longer fit. They count for every conversation. */
  readonly overflow: Set<string>;
}

export function createUnreportedModes(): UnreportedModes {
  const rows = new Map<string, RowModes>();

  function changesOf(environmentId: string, conversation: Conversation): readonly WrittenMode[] {
    const all = rows.get(environmentId)?.written ?? [];
    return all.filter((each) => each.requestId === null && isSame(each.conversation, conversation));
  }

  function removeAll(environmentId: string, removed: readonly (WrittenMode | undefined)[]): void {
    const row = rows.get(environmentId);
    if (row === undefined || removed.length === 0) return;
    row.written = row.written.filter((each) => !removed.includes(each));
    if (row.written.length === 0 && row.overflow.size === 0) rows.delete(environmentId);
  }

  return {
    add(environmentId, written) {
      const row = rows.get(environmentId) ?? { written: [], overflow: new Set() };
      rows.set(environmentId, row);
      const [oldest, ...others] = row.written;
      const isFull = oldest !== undefined && row.written.length >= maxUnreportedModes;
      if (isFull) row.overflow.add(oldest.mode);
      row.written = [...(isFull ? others : row.written), written];
    },
    remove: (environmentId, written) => removeAll(environmentId, [written]),
    refused: (environmentId, conversation) =>
      removeAll(environmentId, changesOf(environmentId, conversation).slice(0, 1)),
    reported(environmentId, conversation, mode, isNew) {
      const changes = changesOf(environmentId, conversation);
      const index = changes.findIndex((each) => mode !== null && isSameMode(each.mode, mode));
      // A report that repeats the mode can be older than all these changes. Then it may end the first one, which changes nothing.
      if (index === 0 || isNew) removeAll(environmentId, changes.slice(0, index + 1));
    },
    answered(environmentId, requestId) {
      const start = rows.get(environmentId)?.written.find((each) => each.requestId === requestId);
      removeAll(environmentId, [start]);
      return start?.conversation ?? null;
    },
    of(environmentId, conversation) {
      const { written = [], overflow = [] } = rows.get(environmentId) ?? {};
      const own = written.filter((each) => isSame(each.conversation, conversation));
      return [...overflow, ...own.map(({ mode }) => mode)];
    },
    forget: (environmentId) => void rows.delete(environmentId),
  };
}

function isSame(left: Conversation, right: Conversation): boolean {
  return modeKeyOf(left) === modeKeyOf(right);
}
