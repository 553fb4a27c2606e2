/**
 * Stores the statuses of messages. A change of a turn arrives with every frame, so changes wait for at most a second and share a
 * write. The end of a message is stored at once, because somebody may wait for it. What could not be stored is written again.
 */
import type { Clock } from "@letta-environments/platform";
import { dropOldest } from "../drop-oldest.ts";
import type { EmitEvent } from "../events.ts";
import { maintenanceBatchSize, maxFollowedMessages, messageWriteDelayMs } from "../limits.ts";
import type { MessageLog, StoredMessage } from "../message-log.ts";

/** The stored part of a followed send. */
export interface WritableMessages {
  /** The messages as they are now. */
  toStored(): readonly StoredMessage[];
}

/** Stores the statuses of messages. */
export interface MessageWriter<Entry extends WritableMessages> {
  /** Stores an entry within a second. */
  later(entry: Entry): void;
  /** Stores an entry now. Resolves with whether it is stored; a failure was reported. */
  now(entry: Entry): Promise<boolean>;
  /** Forgets a change that was not stored. */
  cancel(entry: Entry): void;
  /** Stores everything. Resolves with whether that succeeded. */
  flush(): Promise<boolean>;
  /** Stores everything once more; nothing is written afterwards. */
  close(): Promise<void>;
}

/** Creates a {@link MessageWriter}. */
export function createMessageWriter<Entry extends WritableMessages>({
  clock,
  log,
  emit,
  onStored,
}: {
  readonly clock: Clock;
  readonly log: Pick<MessageLog, "saveMessages">;
  readonly emit: EmitEvent;
  /** Receives an entry whose last change is stored. */
  readonly onStored?: (entry: Entry) => void;
}): MessageWriter<Entry> {
  const changed = new Set<Entry>();
  /** The last write of each entry. */
  const running = new Map<Entry, Promise<boolean>>();
  /** Are not written again. */
  const cancelled = new WeakSet<Entry>();
  let cancelTimer: (() => void) | null = null;
  let isClosed = false;

  function later(entry: Entry): void {
    changed.add(entry);
    dropOldest(changed, maxFollowedMessages);
    if (!isClosed) cancelTimer ??= clock.setTimer(messageWriteDelayMs, saveChanged);
  }

  /** Forgets a write. Returns its entries without a later write. */
  function ended(entries: readonly Entry[], write: Promise<boolean>): readonly Entry[] {
    const last = entries.filter((entry) => running.get(entry) === write);
    for (const entry of last) running.delete(entry);
    return last;
  }

  /** Stores entries as they are when it begins: after the last write of each of them, which may take longer than this one. */
  function save(entries: readonly Entry[]): Promise<boolean> {
    const earlier = new Set(entries.flatMap((entry) => running.get(entry) ?? []));
    const begin = (): Promise<void> => log.saveMessages(entries.flatMap((entry) => entry.toStored()));
    const write: Promise<boolean> = (earlier.size === 0 ? begin() : Promise.all(earlier).then(begin)).then(
      () => {
        for (const entry of ended(entries, write)) if (!changed.has(entry)) onStored?.(entry);
        return true;
      },
      (cause: unknown) => {
        emit({ type: "store_failed", operation: "saveMessages", cause });
        for (const entry of ended(entries, write)) if (!cancelled.has(entry)) later(entry);
        return false;
      },
    );
    for (const entry of entries) running.set(entry, write);
    return write;
  }

  function saveChanged(): void {
    cancelTimer?.();
    cancelTimer = null;
    const entries = [...changed];
    changed.clear();
    for (let start = 0; start < entries.length; start += maintenanceBatchSize) {
      void save(entries.slice(start, start + maintenanceBatchSize));
    }
  }

  async function flush(): Promise<boolean> {
    saveChanged();
    return (await Promise.all(running.values())).every((isStored) => isStored);
  }

  return {
    later,
    now(entry) {
      changed.delete(entry);
      return save([entry]);
    },
    cancel(entry) {
      changed.delete(entry);
      cancelled.add(entry);
    },
    flush,
    async close() {
      isClosed = true;
      await flush();
    },
  };
}
