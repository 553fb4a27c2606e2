/**
 * Records changes of environments: the first one immediately, later ones at most once a second for each environment, and only the members
 * that differ. A device reports its whole status, of about 9 KB, whenever anything happens; most reports change nothing here.
 * After a crash, it also records which devices have gone offline.
 */
import type { Clock } from "@letta-environments/platform";
import { onlineWindowMs } from "@letta-environments/schema";
import { isMembers, type Members } from "../dialects/values.ts";
import type { EmitEvent } from "../log-events.ts";
import { changeLimits, environmentEventIntervalMs, maintenanceBatchSize } from "../limits.ts";
import type { EnvironmentRow, EnvironmentRows } from "../ports.ts";
import type { StoredTime } from "../time/stored-time.ts";
import type { ChangeRecorder, DeviceIdentity, UnstoredChange } from "./recorder.ts";

/** An environment as its events show it, and whether its device has an open socket. */
export interface EventEnvironment {
  /** `null`: the environment has no such member. */
  readonly members: Readonly<Record<string, unknown>>;
  readonly connectionId: string | null;
  /** The audience: principals that may see it. */
  readonly identity: DeviceIdentity;
}

export interface EnvironmentChanges {
  /** An environment may have changed. */
  changed(device: UnstoredChange["device"]): void;
  /** An environment was removed. */
  removed(device: UnstoredChange["device"], identity: DeviceIdentity): void;
  /** Records the changes that wait for their second. Resolves when they are recorded. */
  flush(): Promise<void>;
}

interface Entry {
  readonly device: UnstoredChange["device"];
  /** The state after the last event; `null` before the first one of this process. */
  shown: EventEnvironment | null;
  hasChanged: boolean;
  reading: Promise<void> | null;
  cancelTimer: (() => void) | null;
}

/** Creates {@link EnvironmentChanges}. `read` returns an environment as it is now, or `null` when it does not exist. */
export function createEnvironmentChanges({
  clock,
  recorder,
  read,
}: {
  readonly clock: Clock;
  readonly recorder: Pick<ChangeRecorder, "isRecording" | "record">;
  readonly read: (device: UnstoredChange["device"]) => Promise<EventEnvironment | null>;
}): EnvironmentChanges {
  const entries = new Map<string, Entry>();

  async function publish(entry: Entry): Promise<void> {
    const { device } = entry;
    const shown = await read(device).catch(() => {
      // It is read again after the interval.
      entry.hasChanged = true;
      return null;
    });
    if (entries.get(device.environmentId) !== entry) return;
    // Another process has removed it.
    if (shown === null && !entry.hasChanged && entry.shown !== null) return recordRemoved(device, entry.shown.identity);
    if (shown === null) return;
    // Before the first event, it is unknown what readers have seen, so the event also names missing members.
    const patch = entry.shown === null ? shown.members : differenceOf(entry.shown.members, shown.members);
    entry.shown = shown;
    if (patch === null) return;
    recorder.record(eventOf(device, patch, { connectionId: shown.connectionId }));
  }

  function publishAndWait(entry: Entry): void {
    entry.hasChanged = false;
    entry.cancelTimer = clock.setTimer(environmentEventIntervalMs, () => endInterval(entry));
    entry.reading = publish(entry).finally(() => (entry.reading = null));
  }

  function endInterval(entry: Entry): void {
    entry.cancelTimer = null;
    if (entry.reading !== null) return void entry.reading.then(() => endInterval(entry));
    if (entry.hasChanged) return publishAndWait(entry);
    // What was shown is remembered only for connected devices.
    if ((entry.shown?.connectionId ?? null) === null) entries.delete(entry.device.environmentId);
  }

  function recordRemoved(device: UnstoredChange["device"], identity: DeviceIdentity): void {
    entries.get(device.environmentId)?.cancelTimer?.();
    entries.delete(device.environmentId);
    recorder.record({ ...eventOf(device, {}, { connectionId: null, removed: true }), identity });
  }

  return {
    changed(device) {
      const { environmentId, tenant } = device;
      const known = entries.get(environmentId);
      if (!recorder.isRecording(tenant, "environment")) {
        known?.cancelTimer?.();
        entries.delete(environmentId);
        return;
      }
      const entry = known ?? { device, shown: null, hasChanged: false, reading: null, cancelTimer: null };
      entries.set(environmentId, entry);
      if (entry.cancelTimer === null && entry.reading === null) publishAndWait(entry);
      else entry.hasChanged = true;
    },
    removed: recordRemoved,
    async flush() {
      for (const entry of [...entries.values()]) {
        entry.cancelTimer?.();
        entry.cancelTimer = null;
        await entry.reading;
        if (entry.hasChanged) await publish(entry);
      }
    },
  };
}

function eventOf(device: UnstoredChange["device"], patch: object, members: object): UnstoredChange {
  const { deviceId, environmentId: id } = device;
  const data = { deviceId, ...members, environment: { id, deviceId, ...patch } };
  return { kind: "environment", device, agentId: null, data };
}

/** Returns the merge patch (RFC 7396) that turns `before` into `after`; `null` when nothing differs. Arrays are replaced as a whole. */
export function differenceOf(before: Members, after: Members): Members | null {
  const patch: Record<string, unknown> = {};
  for (const name of new Set([...Object.keys(before), ...Object.keys(after)])) {
    // In a patch, an absent member and one that is null are the same.
    const [left, right] = [before[name] ?? null, after[name] ?? null];
    if (isMembers(left) && isMembers(right)) {
      const inner = differenceOf(left, right);
      if (inner !== null) patch[name] = inner;
    } else if (JSON.stringify(left) !== JSON.stringify(right)) patch[name] = right;
  }
  return Object.keys(patch).length === 0 ? null : patch;
}

interface OfflineRowsOptions {
  readonly clock: Clock;
  readonly emit: EmitEvent;
  readonly recorder: Pick<ChangeRecorder, "record">;
  readonly time: Pick<StoredTime, "expiryNow">;
  readonly store: Pick<EnvironmentRows, "listEnvironments">;
  readonly isConnected: (environmentId: string) => boolean;
}

/**
 * Returns a function that records offline events after a crash, because the crashed process could not. Most devices reconnect immediately and cause
 * their own events. For the others, an offline event is recorded when the online window has passed. It changes nothing for readers that have seen it
 * already.
 */
export function createOfflineRows(options: OfflineRowsOptions): (tenants: readonly string[]) => void {
  const { clock, emit } = options;
  return (tenants) => {
    if (tenants.length === 0) return;
    clock.setTimer(onlineWindowMs, () => {
      for (const tenant of tenants)
        void recordRows(options, tenant).catch((cause: unknown) =>
          emit({ type: "store_failed", operation: "listEnvironments", cause }),
        );
    });
  };
}

async function recordRows({ recorder, time, store, isConnected }: OfflineRowsOptions, tenant: string): Promise<void> {
  const { durationMs } = changeLimits.events;
  const seenSinceMs = time.expiryNow(durationMs) - durationMs;
  const filter = { tenant, environmentIds: null, deviceIds: null, owner: null, limit: maintenanceBatchSize };
  for (let afterId: string | null = null; ;) {
    const rows: readonly EnvironmentRow[] = await store.listEnvironments({ ...filter, afterId });
    for (const { id, deviceId, lastSeenAt } of rows) {
      if (lastSeenAt < seenSinceMs || isConnected(id)) continue;
      const device = { tenant, environmentId: id, deviceId };
      recorder.record(eventOf(device, { connectionId: null, connectedAt: null }, { connectionId: null }));
    }
    afterId = rows.at(-1)?.id ?? null;
    if (afterId === null || rows.length < maintenanceBatchSize) return;
  }
}
