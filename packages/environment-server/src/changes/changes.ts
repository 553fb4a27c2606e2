/** Combines the parts of this folder: the feed that the server reports to, and the streams that readers open. */
import type { ChangeLog } from "../change-log.ts";
import type { EnvironmentRow, EnvironmentRows } from "../ports.ts";
import type { StoredTime } from "../time/stored-time.ts";
import { createEnvironmentChanges, createOfflineRows, type EventEnvironment } from "./environment-changes.ts";
import { createEventIds } from "./event-ids.ts";
import { createFanOut } from "./fan-out.ts";
import { type ChangeFeed, createChangeFeed } from "./feed.ts";
import { type ChangeRecorderOptions, createChangeRecorder, type UnstoredChange } from "./recorder.ts";
import { createEventStreams, type EventStreams } from "./streams.ts";

export interface Changes {
  readonly feed: ChangeFeed;
  readonly streams: EventStreams;
  /** Ends the streams. Resolves when everything that has happened is stored. */
  close(): Promise<void>;
}

export interface ChangesOptions extends Pick<ChangeRecorderOptions, "clock" | "randomId" | "sha256" | "emit"> {
  readonly store: ChangeLog & Pick<EnvironmentRows, "findEnvironments" | "listEnvironments">;
  readonly time: Pick<StoredTime, "now" | "expiryNow">;
  /** Shows an environment in events. */
  readonly presentEnvironment: (row: EnvironmentRow) => EventEnvironment;
  readonly isConnected: (environmentId: string) => boolean;
  readonly presentMessage: Parameters<typeof createChangeFeed>[0]["present"];
}

export function createChanges(options: ChangesOptions): Changes {
  const { clock, time, store } = options;
  const nowMs = time.now;
  const find = async ({ tenant, deviceId, environmentId }: UnstoredChange["device"]) =>
    (await store.findEnvironments(tenant, deviceId)).find(({ id }) => id === environmentId);
  const ids = createEventIds(options.sha256);
  const fanOut = createFanOut(ids);
  const recorder = createChangeRecorder({
    ...options,
    log: store,
    nowMs,
    async identify(device) {
      const row = await find(device);
      return row === undefined ? null : { connectionName: row.connectionName, tags: row.tags };
    },
    onContinued: (tenants) => recordOffline(tenants),
    onStored: fanOut.publish,
    onLost: (state) => fanOut.publishGap(state, "lost", nowMs()),
  });
  const recordOffline = createOfflineRows({ ...options, recorder });
  const environments = createEnvironmentChanges({
    clock,
    recorder,
    async read(device) {
      const row = await find(device);
      return row === undefined ? null : options.presentEnvironment(row);
    },
  });
  const streams = createEventStreams({ ...options, log: store, nowMs, recorder, fanOut, ids });
  return {
    feed: createChangeFeed({ recorder, environments, present: options.presentMessage }),
    streams,
    async close() {
      await environments.flush();
      await recorder.close();
      streams.end("shutdown");
    },
  };
}
