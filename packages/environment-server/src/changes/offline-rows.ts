/**
 * Records offline events after a crash, because the crashed process could not. Most devices reconnect immediately and cause their own events. For the
 * others, an offline event is recorded when the online window has passed. It changes nothing for readers that have seen it already.
 */
import type { Clock } from "@letta-environments/platform";
import { onlineWindowMs } from "@letta-environments/schema";
import type { EmitEvent } from "../events.ts";
import { changeLimits, maintenanceBatchSize } from "../limits.ts";
import type { EnvironmentFilter, EnvironmentRow } from "../ports.ts";
import type { StoredTime } from "../time/stored-time.ts";
import type { ChangeRecorder } from "./recorder.ts";

/** Dependencies of {@link createOfflineRows}. */
export interface OfflineRowsOptions {
  readonly clock: Clock;
  readonly emit: EmitEvent;
  readonly recorder: Pick<ChangeRecorder, "note">;
  readonly pastNow: StoredTime["pastNow"];
  readonly list: (filter: EnvironmentFilter) => Promise<readonly EnvironmentRow[]>;
  readonly isConnected: (environmentId: string) => boolean;
}

/** Returns a function that waits for the online window and then notes which recently seen rows of tenants are offline. */
export function createOfflineRows(options: OfflineRowsOptions): (tenants: readonly string[]) => void {
  const { clock, emit } = options;
  return (tenants) => {
    if (tenants.length === 0) return;
    clock.setTimer(onlineWindowMs, () => {
      for (const tenant of tenants)
        void noteRows(options, tenant).catch((cause: unknown) =>
          emit({ type: "store_failed", operation: "listEnvironments", cause }),
        );
    });
  };
}

async function noteRows({ recorder, pastNow, list, isConnected }: OfflineRowsOptions, tenant: string): Promise<void> {
  const { durationMs } = changeLimits.events;
  const seenSinceMs = pastNow(durationMs) - durationMs;
  const filter = { tenant, environmentIds: null, deviceIds: null, owner: null, limit: maintenanceBatchSize };
  for (let afterId: string | null = null; ;) {
    const rows: readonly EnvironmentRow[] = await list({ ...filter, afterId });
    for (const { id, deviceId, lastSeenAt } of rows) {
      if (lastSeenAt < seenSinceMs || isConnected(id)) continue;
      const environment = { id, deviceId, connectionId: null, connectedAt: null };
      const data = { deviceId, connectionId: null, environment };
      recorder.note({ kind: "environment", device: { tenant, environmentId: id, deviceId }, agentId: null, data });
    }
    afterId = rows.at(-1)?.id ?? null;
    if (afterId === null || rows.length < maintenanceBatchSize) return;
  }
}
