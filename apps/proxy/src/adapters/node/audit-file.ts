import { statSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { isSqliteBusy } from "@letta-environments/platform";
import type { AuditStore } from "../../audit/store.ts";

/** How long a write waits while another process holds the file, and the pause between two attempts, in milliseconds. */
const maxWaitMs = 5_000;
const pauseMs = 20;

/**
 * Wraps an audit store in a SQLite file, so that a write fails when the file at its path was moved or replaced after it was
 * opened: records in a file that nobody looks at are lost. A write waits for a file that another process has locked, without
 * blocking the event loop.
 */
export function guardAuditFile(store: AuditStore, path: string, now: () => number): AuditStore {
  const opened = identityOf(path);

  async function write(run: () => Promise<void>): Promise<void> {
    const until = now() + maxWaitMs;
    for (;;) {
      if (identityOf(path) !== opened) throw new Error(`${path} is not the file that was opened`);
      try {
        return await run();
      } catch (cause) {
        if (!isSqliteBusy(cause) || now() >= until) throw cause;
      }
      await delay(pauseMs);
    }
  }

  return {
    ...store,
    open: (begin) => write(() => store.open(begin)),
    append: (records, head) => write(() => store.append(records, head)),
  };
}

function identityOf(path: string): string | null {
  const stats = statSync(path, { throwIfNoEntry: false });
  return stats === undefined ? null : `${stats.dev}:${stats.ino}`;
}
