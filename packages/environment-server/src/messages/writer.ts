/**
 * Stores the statuses of messages. A change of a turn arrives with every frame, so changes wait for at most a second and share a
 * write. The end of a message is stored at once, because somebody may wait for it.
 */
import type { Clock } from "@letta-environments/platform";
import type { EmitEvent } from "../events.ts";
import { maintenanceBatchSize, messageWriteDelayMs } from "../limits.ts";
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
  /** Stores an entry now. Resolves when it is stored, or when that has failed and was reported. */
  now(entry: Entry): Promise<void>;
  /** Forgets a change that was not stored. */
  cancel(entry: Entry): void;
  /** Stores everything. Resolves when it is done. */
  flush(): Promise<void>;
}

/** Creates a {@link MessageWriter}. */
export function createMessageWriter<Entry extends WritableMessages>({
  clock,
  log,
  emit,
}: {
  readonly clock: Clock;
  readonly log: Pick<MessageLog, "saveMessages">;
  readonly emit: EmitEvent;
}): MessageWriter<Entry> {
  const changed = new Set<Entry>();
  /** The last write of each entry. */
  const running = new Map<Entry, Promise<void>>();
  let cancelTimer: (() => void) | null = null;

  /** Stores entries as they are when it begins: after the last write of each of them, which may take longer than this one. */
  function save(entries: readonly Entry[]): Promise<void> {
    const earlier = new Set(entries.flatMap((entry) => running.get(entry) ?? []));
    const begin = (): Promise<void> => log.saveMessages(entries.flatMap((entry) => entry.toStored()));
    const write = (earlier.size === 0 ? begin() : Promise.all(earlier).then(begin))
      .catch((cause: unknown) => emit({ type: "store_failed", operation: "saveMessages", cause }))
      .finally(() => {
        for (const entry of entries) if (running.get(entry) === write) running.delete(entry);
      });
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

  return {
    later(entry) {
      changed.add(entry);
      cancelTimer ??= clock.setTimer(messageWriteDelayMs, saveChanged);
    },
    now(entry) {
      changed.delete(entry);
      return save([entry]);
    },
    cancel: (entry) => void changed.delete(entry),
    async flush() {
      saveChanged();
      await Promise.all(running.values());
    },
  };
}
