/** The parts of this folder as one: the feed that the server reports to, and the streams that readers open. */
import type { Clock, RandomId, Sha256 } from "@letta-environments/platform";
import type { ChangeLog } from "../change-log.ts";
import type { EmitEvent } from "../events.ts";
import type { StoredTime } from "../time/stored-time.ts";
import { createEnvironmentChanges, type EventEnvironment } from "./environment-changes.ts";
import { createFanOut } from "./fan-out.ts";
import { type ChangeFeed, createChangeFeed } from "./feed.ts";
import { createOfflineRows, type OfflineRowsOptions } from "./offline-rows.ts";
import { createChangeRecorder, type DeviceIdentity, type NotedChange } from "./recorder.ts";
import { createEventStreams, type EventStreams } from "./streams.ts";

/** Changes of a server, and the streams of them. */
export interface Changes {
  readonly feed: ChangeFeed;
  readonly streams: EventStreams;
  /** Ends the streams. Resolves when everything that has happened is stored. */
  close(): Promise<void>;
}

/** Dependencies of {@link createChanges}. */
export interface ChangesOptions {
  readonly clock: Clock;
  readonly randomId: RandomId;
  readonly sha256: Sha256;
  readonly log: ChangeLog;
  readonly emit: EmitEvent;
  readonly time: Pick<StoredTime, "now" | "pastNow">;
  /** Returns an environment as events show it; `null` when it does not exist. */
  readonly readEnvironment: (device: NotedChange["device"]) => Promise<EventEnvironment | null>;
  /** Returns what decides who may see a device; `null` when it does not exist. */
  readonly identify: (device: NotedChange["device"]) => Promise<DeviceIdentity | null>;
  readonly listEnvironments: OfflineRowsOptions["list"];
  readonly isConnected: OfflineRowsOptions["isConnected"];
  readonly presentMessage: Parameters<typeof createChangeFeed>[0]["present"];
}

/** Creates {@link Changes}. */
export function createChanges(options: ChangesOptions): Changes {
  const { clock, time } = options;
  const { now: nowMs, pastNow } = time;
  const fanOut = createFanOut();
  const recorder = createChangeRecorder({
    ...options,
    nowMs,
    onContinued: (tenants) => noteOffline(tenants),
    onStored: fanOut.publish,
    onLost: (state) => fanOut.publishGap(state, "lost", nowMs()),
  });
  const noteOffline = createOfflineRows({ ...options, pastNow, recorder, list: options.listEnvironments });
  const environments = createEnvironmentChanges({ clock, recorder, read: options.readEnvironment });
  const streams = createEventStreams({ ...options, nowMs, recorder, fanOut });
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
