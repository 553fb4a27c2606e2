/**
 * Closes the sockets of devices that were removed. Another process, such as a command, can remove a device from the store of a
 * running server. While sockets are open, the store's version is read once a second, and after a change by another process the
 * connections of the open sockets are looked up. A new socket is looked up too: its device may be removed during the handshake.
 */
import { type Clock, inBatches } from "@letta-environments/platform";
import type { DeviceRows } from "../ports.ts";
import type { EmitEvent } from "../log-events.ts";
import { removalCheckIntervalMs } from "../limits.ts";
import type { DeviceHub } from "../socket/hub.ts";

/** Connections that are looked up at a time. */
const removalBatchSize = 500;

export interface RemovalWatch {
  /** Call it whenever a socket has opened. */
  socketOpened(connectionId: string): void;
  /** Call it whenever a socket has ended. No timer runs without sockets. */
  socketEnded(): void;
  /** Closes the sockets of removed devices now. */
  check(): Promise<void>;
  close(): void;
}

/** Creates a {@link RemovalWatch}. A failed read is reported as a `store_failed` event and repeated after the interval. */
export function createRemovalWatch({
  clock,
  store,
  hub,
  emit,
}: {
  readonly clock: Clock;
  readonly store: Pick<DeviceRows, "findRemovedConnections" | "readVersion">;
  readonly hub: Pick<DeviceHub, "size" | "connectionIds" | "closeRemoved">;
  readonly emit: EmitEvent;
}): RemovalWatch {
  let version: number | null = null;
  /** Connections whose sockets have opened since the last check. */
  let opened: string[] = [];
  let isTicking = false;
  let isClosed = false;
  let cancel: () => void = () => undefined;

  const check = (connectionIds: readonly string[]): Promise<void> =>
    inBatches(clock, connectionIds, removalBatchSize, async (batch) => {
      const removed = await store.findRemovedConnections(batch);
      if (removed.length > 0) hub.closeRemoved(new Set(removed));
    });

  async function tick(): Promise<void> {
    const fresh = opened;
    opened = [];
    try {
      const current = await store.readVersion();
      await check(current === version ? fresh : hub.connectionIds());
      version = current;
    } catch (cause) {
      opened.push(...fresh);
      if (!isClosed) emit({ type: "store_failed", operation: "findRemovedConnections", cause });
    }
    schedule();
  }

  function schedule(): void {
    cancel();
    isTicking = !isClosed && hub.size > 0;
    if (isTicking) cancel = clock.setTimer(removalCheckIntervalMs, () => void tick());
  }

  return {
    socketOpened(connectionId) {
      opened.push(connectionId);
      if (!isTicking) schedule();
    },
    socketEnded() {
      if (hub.size > 0) return;
      isTicking = false;
      opened = [];
      cancel();
    },
    check: () => check(hub.connectionIds()),
    close() {
      isClosed = true;
      cancel();
    },
  };
}
