/**
 * Stores changes and passes them on, in the order in which they were recorded. Changes that are recorded while a batch is being stored form
 * the next one, so many share a commit. Only changes of tenants whose events are read, or were read recently, are stored. While the
 * store fails, changes wait; when too many wait they are lost, and every reader receives a `gap`.
 */
import type { Clock, RandomId, Sha256 } from "@letta-environments/platform";
import {
  type AppendedChanges,
  type ChangeLog,
  type ChangeLogState,
  type ChangeRecording,
  ChangesLostError,
  type ChangeSubject,
  type NewChange,
  type StoredChange,
} from "../change-log.ts";
import type { EmitEvent } from "../log-events.ts";
import { changeLimits, changeRetryMs, maxPendingChanges } from "../limits.ts";

/** A change that has happened and is not stored yet. */
export interface UnstoredChange extends Pick<NewChange, "kind"> {
  /** The device. Its row is read when the change is stored. */
  readonly device: Pick<ChangeSubject, "tenant" | "environmentId" | "deviceId">;
  /** The last content of a row that is gone; without it, the row is read. */
  readonly identity?: DeviceIdentity;
  readonly agentId: string | null;
  /** Data of the event. */
  readonly data: Readonly<Record<string, unknown>>;
}

/** The members of a row that decide who may see its device. */
export type DeviceIdentity = Pick<ChangeSubject, "connectionName" | "tags">;

export interface ChangeRecorder {
  /** Whether changes of a tenant are stored. */
  isRecording(tenant: string, kind: NewChange["kind"]): boolean;
  record(change: UnstoredChange): void;
  /** Stores changes of a tenant from now on. Resolves when that itself is stored. */
  extendRecording(tenant: string, includesOutput: boolean): Promise<ChangeRecording>;
  /** Resolves with the positions of the log, when its changes were restarted after a loss. */
  readState(): Promise<ChangeLogState>;
  /** Resolves when everything that was recorded is stored and passed on, or cannot be stored. */
  close(): Promise<void>;
}

export interface ChangeRecorderOptions {
  readonly clock: Clock;
  readonly randomId: RandomId;
  readonly sha256: Sha256;
  readonly log: ChangeLog;
  readonly emit: EmitEvent;
  /** Server time. */
  readonly nowMs: () => number;
  readonly identify: (device: UnstoredChange["device"]) => Promise<DeviceIdentity | null>;
  readonly onStored: (epoch: string, changes: readonly StoredChange[]) => void;
  readonly onLost: (state: ChangeLogState) => void;
  /** Receives the tenants whose changes an earlier process stored. */
  readonly onContinued: (tenants: readonly string[]) => void;
}

/** How much longer changes are recorded than events are kept, in milliseconds, so that the time need not be stored for every event. */
const slackMs = 600_000;

interface Waiting extends Omit<UnstoredChange, "data"> {
  readonly data: string;
}

export function createChangeRecorder(options: ChangeRecorderOptions): ChangeRecorder {
  const { clock, log, emit, nowMs, onStored } = options;
  const recordings = createRecordings(options);
  const series = createSeries(options);
  let waiting: Waiting[] = [];
  let waitingSize = 0;
  let isClosed = false;
  let running: Promise<void> | null = null;

  async function store(batch: readonly Waiting[]): Promise<void> {
    await recordings.load();
    const kept = batch.filter(({ device, kind }) => recordings.isRecording(device.tenant, kind));
    const changes = await describe(kept, options);
    // Last, because changes may be lost meanwhile.
    await series.announceLoss();
    if (changes.length === 0) return;
    const storedAt = nowMs();
    const { first, epoch } = await series.append(changes, storedAt);
    onStored(
      epoch,
      changes.map((change, index) => ({ ...change, position: first + index, storedAt })),
    );
  }

  async function run(): Promise<void> {
    while (waiting.length > 0) {
      const batch = waiting;
      const size = waitingSize;
      [waiting, waitingSize] = [[], 0];
      try {
        await store(batch);
      } catch (cause) {
        emit({ type: "store_failed", operation: "appendChanges", cause });
        if (cause instanceof ChangesLostError) series.lose();
        if (isClosed) break;
        [waiting, waitingSize] = [[...batch, ...waiting], size + waitingSize];
        limitWaiting();
        await new Promise<void>((resolve) => void clock.setTimer(changeRetryMs, resolve));
      }
    }
    // Cleared in the tick in which the queue becomes empty, so that the next change starts it again.
    running = null;
  }

  function limitWaiting(): void {
    if (waitingSize <= maxPendingChanges) return;
    [waiting, waitingSize] = [[], 0];
    series.lose();
  }

  return {
    isRecording: recordings.isRecording,
    record({ data, ...change }) {
      if (isClosed || !recordings.isRecording(change.device.tenant, change.kind)) return;
      const text = JSON.stringify(data);
      waiting.push({ ...change, data: text });
      waitingSize += text.length;
      limitWaiting();
      // After a loss nothing is left to store.
      if (waiting.length > 0) running ??= run();
    },
    extendRecording: recordings.extendRecording,
    async readState() {
      await series.announceLoss();
      return log.readChangeLog();
    },
    async close() {
      isClosed = true;
      await running;
    },
  };
}

/**
 * The series of positions. A new one begins after a loss, and with the first changes of each process, because its data may be a restored, older copy.
 * A process that only reads does not begin one.
 */
function createSeries({ log, onLost, ...ids }: Pick<ChangeRecorderOptions, "log" | "onLost" | "randomId" | "sha256">) {
  /** The series that the next changes begin. */
  let next: string | undefined = newEpoch(ids);
  let hasLost = false;
  let restarting: Promise<void> | null = null;

  async function restart(): Promise<void> {
    next = newEpoch(ids);
    await log.restartChangeLog(next);
    const state = await log.readChangeLog();
    hasLost = false;
    onLost(state);
  }

  return {
    /** Changes are lost. */
    lose: () => void (hasLost = true),
    /** Resolves when a loss is announced. */
    async announceLoss(): Promise<void> {
      if (!hasLost) return;
      // Readers may ask at the same time, but each loss is announced once.
      restarting ??= restart().finally(() => (restarting = null));
      await restarting;
    },
    async append(changes: readonly NewChange[], storedAt: number): Promise<AppendedChanges> {
      const appended = await log.appendChanges(changes, storedAt, next);
      next = undefined;
      return appended;
    },
  };
}

/** Adds the identities that the devices have now. */
async function describe(
  batch: readonly Waiting[],
  { identify }: Pick<ChangeRecorderOptions, "identify">,
): Promise<readonly NewChange[]> {
  const known = new Map<string, DeviceIdentity | null>();
  const changes: NewChange[] = [];
  for (const { device, identity, kind, agentId, data } of batch) {
    let found = identity ?? known.get(device.environmentId);
    if (found === undefined) known.set(device.environmentId, (found = await identify(device)));
    // A device that does not exist is visible to no caller.
    if (found !== null) changes.push({ ...device, ...found, kind, agentId, data });
  }
  return changes;
}

/** The recordings in memory and in the store. Before they are read, everything counts as recorded. */
function createRecordings({ log, nowMs, onContinued }: Pick<ChangeRecorderOptions, "log" | "nowMs" | "onContinued">) {
  const known = new Map<string, ChangeRecording>();
  const saving = new Map<string, Promise<void>>();
  let isLoaded = false;

  async function save(recording: ChangeRecording, before: ChangeRecording): Promise<void> {
    const { tenant } = recording;
    const running = log.saveRecording(recording).finally(() => saving.delete(tenant));
    saving.set(tenant, running);
    try {
      await running;
    } catch (cause) {
      known.set(tenant, before);
      throw cause;
    }
  }

  async function load(): Promise<void> {
    if (isLoaded) return;
    const stored = await log.listRecordings();
    // Another call may have finished meanwhile.
    if (isLoaded) return;
    for (const recording of stored) known.set(recording.tenant, recording);
    isLoaded = true;
    onContinued([...known.keys()]);
  }

  return {
    load,
    isRecording(tenant: string, kind: NewChange["kind"]): boolean {
      const recording = known.get(tenant);
      if (recording === undefined) return !isLoaded;
      return (kind === "output" ? recording.outputUntilMs : recording.untilMs) > nowMs();
    },
    async extendRecording(tenant: string, includesOutput: boolean): Promise<ChangeRecording> {
      await load();
      // A stream must not begin before it is certain that its events are stored, even after a crash.
      while (saving.has(tenant)) await saving.get(tenant);
      const now = nowMs();
      const before = known.get(tenant) ?? { tenant, untilMs: 0, outputSinceMs: 0, outputUntilMs: 0 };
      const { events, output } = changeLimits;
      const isFresh =
        before.untilMs >= now + events.durationMs + slackMs / 2 &&
        (!includesOutput || before.outputUntilMs >= now + output.durationMs + slackMs / 2);
      if (isFresh) return before;
      const recording: ChangeRecording = {
        tenant,
        untilMs: now + events.durationMs + slackMs,
        outputSinceMs: includesOutput && before.outputUntilMs <= now ? now : before.outputSinceMs,
        outputUntilMs: includesOutput ? now + output.durationMs + slackMs : before.outputUntilMs,
      };
      known.set(tenant, recording);
      await save(recording, before);
      return recording;
    },
  };
}

/** Names a new series of positions. Nobody can guess the name, which seals its ids: it has the randomness of two ids. */
function newEpoch({ randomId, sha256 }: Pick<ChangeRecorderOptions, "randomId" | "sha256">): string {
  return sha256(randomId("epoch") + randomId("epoch")).slice(0, 32);
}
