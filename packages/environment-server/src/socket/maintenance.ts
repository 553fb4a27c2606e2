/**
 * Removes expired records from the store, at the start and by a timer, in small batches with pauses: message ids, statuses of messages, decisions,
 * changes, replaced connectionIds, and the rows of devices that have not connected for a long time. The timer also runs while no device is connected.
 * A row with an open socket is never removed.
 */
import { type Clock, sleep } from "@letta-environments/platform";
import type { EmitEvent } from "../log-events.ts";
import {
  environmentGraceMs,
  environmentRetentionMs,
  maintenanceBatchSize,
  maintenanceIntervalMs,
  messageLogLimits,
} from "../limits.ts";
import type { EnvironmentStore, IdleEnvironment } from "../ports.ts";
import type { StoredTime } from "../time/stored-time.ts";

export interface Maintenance {
  /** Starts the first run and the timer for later ones; called once. Failures are reported as `store_failed`. */
  start(): void;
  /** Stops the timer, and a current run after its present batch. Resolves when it has stopped. */
  stop(): Promise<void>;
}

/** Pause between two batches, in milliseconds, in which requests are served. */
const pauseMs = 20;

/** How long statuses are kept, in milliseconds. Decisions are kept for less. */
const historyMs = messageLogLimits.durationMs;

export function createMaintenance({
  clock,
  store,
  emit,
  onExpired,
  time,
  isConnected,
}: {
  readonly clock: Clock;
  readonly store: Pick<
    EnvironmentStore,
    "prune" | "pruneMessages" | "pruneApprovals" | "pruneChanges" | "findIdleEnvironments" | "removeEnvironments"
  >;
  readonly emit: EmitEvent;
  /** Called for each row that was removed because its device has not connected for a long time. */
  readonly onExpired: (row: IdleEnvironment) => void;
  readonly time: Pick<StoredTime, "now" | "expiryNow" | "saveIfDue">;
  readonly isConnected: (environmentId: string) => boolean;
}): Maintenance {
  const startedAtMs = clock.monotonic();
  let running: Promise<void> | null = null;
  const stopping = new AbortController();
  const { signal } = stopping;
  let cancelTimer = (): void => undefined;
  const pause = (): Promise<void> => sleep(clock, pauseMs, signal);

  /** Removes one batch of rows. Returns whether there may be more. */
  async function removeIdleRows(): Promise<boolean> {
    if (clock.monotonic() - startedAtMs < environmentGraceMs) return false;
    const seenAtMs = time.expiryNow(environmentRetentionMs) - environmentRetentionMs;
    const idle = await store.findIdleEnvironments(seenAtMs, maintenanceBatchSize);
    const expired = idle.filter(({ id }) => !isConnected(id));
    if (expired.length === 0) return false;
    await store.removeEnvironments(expired.map(({ id }) => id));
    for (const row of expired) {
      emit({ type: "environment_expired", tenant: row.tenant, environmentId: row.id, deviceId: row.deviceId });
      onExpired(row);
    }
    return idle.length === maintenanceBatchSize;
  }

  async function run(): Promise<void> {
    try {
      await time.saveIfDue();
      while (!signal.aborted && (await store.prune(time.now(), maintenanceBatchSize))) await pause();
      while (!signal.aborted && (await store.pruneMessages(time.expiryNow(historyMs), maintenanceBatchSize)))
        await pause();
      while (!signal.aborted && (await store.pruneApprovals(time.expiryNow(historyMs), maintenanceBatchSize)))
        await pause();
      while (!signal.aborted && (await store.pruneChanges(time.now(), maintenanceBatchSize))) await pause();
      while (!signal.aborted && (await removeIdleRows())) await pause();
    } catch (cause) {
      emit({ type: "store_failed", operation: "prune", cause });
    } finally {
      running = null;
    }
  }

  function start(): void {
    cancelTimer = clock.setTimer(maintenanceIntervalMs, start);
    running ??= run();
  }

  return {
    start,
    async stop() {
      cancelTimer();
      stopping.abort();
      await running;
    },
  };
}
