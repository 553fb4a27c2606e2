import { statSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { isSqliteBusy } from "@letta-environments/platform";
import type { AuditStore } from "../../audit/store.ts";

/** How long another process may hold the file, and how often it is tried meanwhile, in milliseconds. */
const patienceMs = 5_000;
const pauseMs = 20;

/**
 * An audit store that writes to the file that lies at its path, or not at all: what goes into a file that was taken away is in nobody's log.
 * While another process holds the file the gateway goes on with everything else.
 */
export function guardAuditStore(store: AuditStore, path: string, now: () => number): AuditStore {
  const opened = identityOf(path);

  async function write(run: () => Promise<void>): Promise<void> {
    const until = now() + patienceMs;
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
