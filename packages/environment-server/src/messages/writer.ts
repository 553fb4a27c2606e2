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

/** See the description of this file. */
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
  const running = new Set<Promise<void>>();
  let cancelTimer: (() => void) | null = null;

  function save(messages: readonly StoredMessage[]): Promise<void> {
    const write = log
      .saveMessages(messages)
      .catch((cause: unknown) => emit({ type: "store_failed", operation: "saveMessages", cause }))
      .finally(() => void running.delete(write));
    running.add(write);
    return write;
  }

  function saveChanged(): void {
    cancelTimer?.();
    cancelTimer = null;
    const messages = [...changed].flatMap((entry) => entry.toStored());
    changed.clear();
    for (let start = 0; start < messages.length; start += maintenanceBatchSize) {
      void save(messages.slice(start, start + maintenanceBatchSize));
    }
  }

  return {
    later(entry) {
      changed.add(entry);
      cancelTimer ??= clock.setTimer(messageWriteDelayMs, saveChanged);
    },
    now(entry) {
      changed.delete(entry);
      return save(entry.toStored());
    },
    cancel: (entry) => void changed.delete(entry),
    async flush() {
      saveChanged();
      await Promise.all(running);
    },
  };
}
