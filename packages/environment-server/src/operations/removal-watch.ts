/**
 * Closes the sockets of devices that were removed. Another process, such as a command, can remove a device from the store of a
 * running server. While sockets are open, the store's version is read once a second, and after a change of another process the
 * connections of the open sockets are looked up. A new socket is looked up too: its device may be removed during the handshake.
 */
import type { Clock } from "@letta-environments/platform";
import type { DeviceRows } from "../ports.ts";
import type { EmitEvent } from "../events.ts";
import { removalCheckIntervalMs } from "../limits.ts";
import type { DeviceHub } from "../socket/hub.ts";

/** See the description of this file. */
export interface RemovalWatch {
  /** Call it whenever a socket has opened. */
  socketOpened(): void;
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
  readonly hub: Pick<DeviceHub, "connectionIds" | "closeRemoved">;
  readonly emit: EmitEvent;
}): RemovalWatch {
  let version: number | null = null;
  let hasNewSocket = false;
  let isTicking = false;
  let isClosed = false;
  let cancel: () => void = () => undefined;

  async function check(): Promise<void> {
    const removed = await store.findRemovedConnections(hub.connectionIds());
    if (removed.length > 0) hub.closeRemoved(new Set(removed));
  }

  async function tick(): Promise<void> {
    const isNew = hasNewSocket;
    hasNewSocket = false;
    try {
      const current = await store.readVersion();
      if (isNew || current !== version) await check();
      version = current;
    } catch (cause) {
      hasNewSocket ||= isNew;
      if (!isClosed) emit({ type: "store_failed", operation: "findRemovedConnections", cause });
    }
    schedule();
  }

  function schedule(): void {
    cancel();
    isTicking = !isClosed && hub.connectionIds().length > 0;
    if (isTicking) cancel = clock.setTimer(removalCheckIntervalMs, () => void tick());
  }

  return {
    socketOpened() {
      hasNewSocket = true;
      if (!isTicking) schedule();
    },
    socketEnded() {
      if (hub.connectionIds().length > 0) return;
      isTicking = false;
      cancel();
    },
    check,
    close() {
      isClosed = true;
      cancel();
    },
  };
}
