/**
 * The modes that were written to a device and may not have taken effect yet. A message that is written after them may run in any of them.
 *
 * A device reads frames in order and makes a change at once, but it may drop the report of a change for a newer one, and a refusal does not say
 * whether the mode was set. A `runtime_start` takes its time, and its response does not say which mode the conversation has. So only two things end a
 * mode: a report, if nothing else of the conversation was written before the change; or the device's response to a frame that was written after
 * the change, or after the response to the `runtime_start`. The response may overtake reports, so the mode must then be reported again.
 */
import type { Clock } from "@letta-environments/platform";
import { isSameMode } from "@letta-environments/schema";
import type { Conversation } from "../dialects/conversation.ts";
import { maxStartMs, maxUnreportedModes } from "../limits.ts";
import { type ConversationModes, modeKeyOf } from "./conversation-modes.ts";

/** A mode that leaves for a device. */
export interface WrittenMode {
  readonly conversation: Conversation;
  readonly mode: string;
  /** Of a `runtime_start`, which the device answers when it is done; `null` for a change. */
  readonly requestId: string | null;
}

export interface UnreportedModes {
  /** Adds a mode before its frame is written. Returns `false` if too many are unreported; the frame must not be written then. */
  add(environmentId: string, written: WrittenMode): boolean;
  /** Removes a mode whose frame could not be written. */
  remove(environmentId: string, written: WrittenMode): void;
  /** Takes a report, which ends the change that was written first if it has this mode. */
  reported(environmentId: string, conversation: Conversation, mode: string | null): void;
  /** Takes the response to a `runtime_start`. The conversation may have the mode now, even after a failure. */
  answered(environmentId: string, requestId: string): void;
  /** Returns a function to call when the device responds to a frame that is written now. It ends what the device has handled by then. */
  prepareSettling(environmentId: string): () => void;
  /** The modes that may still take effect in a conversation. */
  of(environmentId: string, conversation: Conversation): readonly string[];
  /** The number of modes that may still take effect on a device. */
  sizeOf(environmentId: string): number;
  /** Forgets a row whose socket has ended: on the next one, the device reports every mode again. */
  forget(environmentId: string): void;
}

interface Entry {
  readonly written: WrittenMode;
  /** From when on the device counts as having handled it once it has read its frame, in monotonic time. */
  handledAt: number;
}

export function createUnreportedModes(
  clock: Pick<Clock, "monotonic">,
  modes: Pick<ConversationModes, "forgetMode">,
): UnreportedModes {
  /** The one that was written first comes first. */
  const rows = new Map<string, readonly Entry[]>();
  const entriesOf = (environmentId: string): readonly Entry[] => rows.get(environmentId) ?? [];
  const isHandled = ({ handledAt }: Entry): boolean => handledAt <= clock.monotonic();

  function remove(environmentId: string, isRemoved: (entry: Entry) => boolean): void {
    const kept = entriesOf(environmentId).filter((entry) => !isRemoved(entry));
    if (kept.length === 0) rows.delete(environmentId);
    else rows.set(environmentId, kept);
  }

  /** Ends entries. The last report of their conversations can be older than their effect. */
  function end(environmentId: string, ended: ReadonlySet<Entry>): void {
    for (const entry of entriesOf(environmentId)) {
      if (ended.has(entry)) modes.forgetMode(environmentId, entry.written.conversation);
    }
    remove(environmentId, (entry) => ended.has(entry));
  }

  return {
    add(environmentId, written) {
      if (entriesOf(environmentId).length >= maxUnreportedModes) {
        const start = entriesOf(environmentId).find((entry) => entry.written.requestId !== null && isHandled(entry));
        if (start === undefined) return false;
        end(environmentId, new Set([start]));
      }
      const handledAt = written.requestId === null ? -Infinity : clock.monotonic() + maxStartMs;
      rows.set(environmentId, [...entriesOf(environmentId), { written, handledAt }]);
      return true;
    },
    remove: (environmentId, written) => remove(environmentId, (entry) => entry.written === written),
    reported(environmentId, conversation, mode) {
      const first = entriesOf(environmentId).find(({ written }) => isSame(written.conversation, conversation));
      if (first === undefined || first.written.requestId !== null || mode === null) return;
      if (isSameMode(first.written.mode, mode)) remove(environmentId, (entry) => entry === first);
    },
    answered(environmentId, requestId) {
      const start = entriesOf(environmentId).find(({ written }) => written.requestId === requestId);
      if (start === undefined) return;
      start.handledAt = -Infinity;
      modes.forgetMode(environmentId, start.written.conversation);
    },
    prepareSettling(environmentId) {
      const handled = new Set(entriesOf(environmentId).filter(isHandled));
      return () => end(environmentId, handled);
    },
    of: (environmentId, conversation) =>
      entriesOf(environmentId).flatMap(({ written }) =>
        isSame(written.conversation, conversation) ? [written.mode] : [],
      ),
    sizeOf: (environmentId) => entriesOf(environmentId).length,
    forget: (environmentId) => void rows.delete(environmentId),
  };
}

function isSame(left: Conversation, right: Conversation): boolean {
  return modeKeyOf(left) === modeKeyOf(right);
}
