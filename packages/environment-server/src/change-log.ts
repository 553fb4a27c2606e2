/**
 * The changes that streams of events report, and the port that stores them. A change is stored before any reader receives it, so a
 * reader that comes back after a crash continues where it stopped.
 */

/** The subject of a change. `output` is the output of turns, which is kept for less time than the others. */
export type ChangeKind = "environment" | "message" | "approval" | "output";

/** The device that a change concerns, as it was when the change happened. It decides who may see the change. */
export interface ChangeSubject {
  readonly tenant: string;
  readonly environmentId: string;
  readonly deviceId: string;
  readonly connectionName: string;
  readonly tags: readonly string[];
  /** Empty for a conversation without an agent; `null` for a change that concerns no agent. */
  readonly agentId: string | null;
}

/** A change that is to be stored. */
export interface NewChange extends ChangeSubject {
  readonly kind: ChangeKind;
  /** JSON of the event's data. */
  readonly data: string;
}

/** A stored change. */
export interface StoredChange extends NewChange {
  /** Later changes have higher positions. */
  readonly position: number;
  /** Server time. */
  readonly storedAt: number;
}

/** Selects changes of a tenant. */
export interface ChangeSelection {
  readonly tenant: string;
  /** Only changes after this position. */
  readonly after: number;
  readonly includesOutput: boolean;
  /** Only changes of these devices; `null`: of all. */
  readonly deviceIds: readonly string[] | null;
}

/** A page of changes, and the series and removed changes when it was read. */
export interface ChangePage extends RemovedChanges, ChangeSeries {
  readonly changes: readonly StoredChange[];
  /** The page has every stored change that matches, up to this position. */
  readonly through: number;
  /** Whether changes after `through` may be stored. */
  readonly hasMore: boolean;
}

/** Changes that are no longer stored. */
export interface RemovedChanges {
  /** Changes up to this position are incomplete, because some were removed. */
  readonly removedThrough: number;
  /** The same for output. */
  readonly outputRemovedThrough: number;
}

/** An earlier series of positions, which another one continues. */
export interface FormerSeries {
  readonly epoch: string;
  /** Its last position in this log. If this log is an earlier copy of another one, the series may have later positions there. */
  readonly lastPosition: number;
}

/** The series of positions of a log. */
export interface ChangeSeries {
  /**
   * Names the present one. Positions of other series mean nothing here, except for positions of former ones. It is a secret: ids of events are
   * sealed with it.
   */
  readonly epoch: string;
  /** The series that it continues, the latest first. */
  readonly former: readonly FormerSeries[];
}

/** Positions of a log. */
export interface ChangeLogState extends RemovedChanges, ChangeSeries {
  /** Position of the last change; 0 before the first. */
  readonly lastPosition: number;
}

/** Former series that a log remembers. */
export const maxFormerSeries = 100;

/** Returns the name of the series that a position belongs to, so that a change always has the same id. */
export function seriesOf({ epoch, former }: ChangeSeries, position: number): string {
  return former.findLast(({ lastPosition }) => position <= lastPosition)?.epoch ?? epoch;
}

/** Returns the former series for a new series that continues a log. */
export function formerOfNext({ epoch, lastPosition, former }: ChangeLogState): readonly FormerSeries[] {
  return [{ epoch, lastPosition }, ...former].slice(0, maxFormerSeries);
}

/** Where changes were stored. */
export interface AppendedChanges extends Pick<ChangeSeries, "epoch"> {
  /** Position of the first one; the others follow it. */
  readonly first: number;
}

/** When changes of a tenant are stored, in epoch milliseconds: while a reader is connected, and as long as it may come back. */
export interface ChangeRecording {
  readonly tenant: string;
  readonly untilMs: number;
  /** Output is stored without a break since then. */
  readonly outputSinceMs: number;
  readonly outputUntilMs: number;
}

/** How long events or output are kept, in milliseconds, and how much, in characters of data. */
export interface ChangeRetention {
  readonly durationMs: number;
  readonly maxSize: number;
}

/** The {@link ChangeRetention} of both. */
export interface ChangeLimits {
  readonly events: ChangeRetention;
  readonly output: ChangeRetention;
}

/** The approximate size of a stored change without its texts, in characters. */
const overhead = 200;

/** The size of a stored change in characters. */
export function sizeOfChange({ data, tags, connectionName }: NewChange): number {
  return overhead + data.length + connectionName.length + tags.reduce((sum, tag) => sum + tag.length, 0);
}

/**
 * The log has lost changes that it had confirmed, such as after its server lost its data. Nothing was appended; the log must
 * be restarted.
 */
export class ChangesLostError extends Error {
  override readonly name = "ChangesLostError";
}

/** Changes. Each method is atomic, and durable when its promise resolves. */
export interface ChangeLog {
  /**
   * Stores changes under consecutive positions. Removes the oldest changes when the size is exceeded. When it rejects, the changes are
   * either not stored, or hidden from this log's readers until the next call removes them. Rejects with {@link ChangesLostError} when
   * earlier changes are lost.
   *
   * @param newEpoch if it differs from the present series, these changes begin a new series that continues the present one: a server
   *   that begins to write cannot know whether this log is an earlier copy of one to which its predecessor has written more
   */
  appendChanges(changes: readonly NewChange[], nowMs: number, newEpoch?: string): Promise<AppendedChanges>;
  /**
   * Reads the first changes of a selection. A page is limited in size and in the number of changes that are examined, so it can be empty
   * although there are more.
   */
  readChanges(selection: ChangeSelection): Promise<ChangePage>;
  readChangeLog(): Promise<ChangeLogState>;
  /** Begins another series of positions, because changes were lost: no earlier position can be resumed. */
  restartChangeLog(epoch: string): Promise<void>;
  listRecordings(): Promise<readonly ChangeRecording[]>;
  /** Stores a recording in place of the tenant's earlier one. */
  saveRecording(recording: ChangeRecording): Promise<void>;
  /** Removes changes and recordings that are older than their retention, about `limit`. Returns whether there may be more. */
  pruneChanges(nowMs: number, limit: number): Promise<boolean>;
}
