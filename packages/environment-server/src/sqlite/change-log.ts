/**
 * {@link ChangeLog} in SQLite. One row has the last position and the sizes, so that the limits cost no scan. Changes are appended in
 * the order of their primary key, which is the cheapest place to insert.
 */
import type { CommitChange, SqliteDatabase, SqliteRow } from "@letta-environments/platform";
import {
  type AppendedChanges,
  type ChangeKind,
  type ChangeLimits,
  type ChangeLog,
  type ChangeLogState,
  type ChangePage,
  type ChangeSelection,
  type FormerSeries,
  formerOfNext,
  type NewChange,
  sizeOfChange,
  type StoredChange,
} from "../change-log.ts";
import { changePageLimits } from "../limits.ts";
import { readInteger, readOptionalText, readText } from "./columns.ts";

const columns = "position, kind, tenant, environment_id, device_id, connection_name, tags, agent_id, data, stored_at";

/** Oldest changes that are examined in one step when the size is exceeded. */
const evictionStep = 64;

export function createSqliteChangeLog(database: SqliteDatabase, commit: CommitChange, limits: ChangeLimits): ChangeLog {
  const readState = database.prepare("SELECT * FROM environment_change_log");
  const readLog = (): ChangeLogState => readPositions(readState.get());
  const restart = database.prepare(`UPDATE environment_change_log SET epoch = ?, events_size = 0, output_size = 0,
    removed_through = last_position, output_removed_through = last_position, former = '[]'`);
  const removeAll = database.prepare("DELETE FROM environment_change");
  const listRecordings = database.prepare(
    "SELECT tenant, until, output_since, output_until FROM environment_change_recording",
  );
  const saveRecording =
    database.prepare(`INSERT INTO environment_change_recording (tenant, until, output_since, output_until)
    VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE
    SET until = excluded.until, output_since = excluded.output_since, output_until = excluded.output_until`);
  const removals: Removals = { events: prepareRemoval(database, 0), output: prepareRemoval(database, 1) };
  const append = prepareAppend(database, readLog, limits, removals);
  const prune = preparePrune(database, limits, removals);

  return {
    appendChanges: (changes, ...values) =>
      commit(() => append(changes, ...values), { rows: changes.length, isRelaxed: true }),
    readChanges: preparePages(database, readLog),
    readChangeLog: async () => readLog(),
    restartChangeLog: (epoch) =>
      commit(() => {
        removeAll.run();
        restart.run(epoch);
      }),
    listRecordings: async () =>
      listRecordings.all().map((row) => ({
        tenant: readText(row, "tenant"),
        untilMs: readInteger(row, "until"),
        outputSinceMs: readInteger(row, "output_since"),
        outputUntilMs: readInteger(row, "output_until"),
      })),
    saveRecording: ({ tenant, untilMs, outputSinceMs, outputUntilMs }) =>
      commit(() => void saveRecording.run(tenant, untilMs, outputSinceMs, outputUntilMs)),
    pruneChanges: (nowMs, limit) => commit(() => prune(nowMs, limit), { rows: limit }),
  };
}

/** Removes the oldest changes of one part, events or output, as long as they match. */
type RemoveOldest = (
  mayStay: (row: SqliteRow, removedSize: number) => boolean,
  limit: number,
) => { readonly count: number; readonly size: number };

type Removals = Readonly<Record<keyof ChangeLimits, RemoveOldest>>;

function prepareRemoval(database: SqliteDatabase, isOutput: 0 | 1): RemoveOldest {
  const [sizeColumn, throughColumn] =
    isOutput === 1 ? ["output_size", "output_removed_through"] : ["events_size", "removed_through"];
  const findOldest = database.prepare(`SELECT position, size, stored_at FROM environment_change
    WHERE is_output = ${isOutput} ORDER BY position LIMIT ?`);
  const remove = database.prepare(`DELETE FROM environment_change WHERE is_output = ${isOutput} AND position <= ?`);
  const note = database.prepare(
    `UPDATE environment_change_log SET ${sizeColumn} = ${sizeColumn} - ?, ${throughColumn} = ?`,
  );
  return (mayStay, limit) => {
    let [size, count, last] = [0, 0, 0];
    for (const row of findOldest.all(limit)) {
      if (mayStay(row, size)) break;
      size += readInteger(row, "size");
      last = readInteger(row, "position");
      count += 1;
    }
    if (count > 0) {
      remove.run(last);
      note.run(size, last);
    }
    return { count, size };
  };
}

function prepareAppend(
  database: SqliteDatabase,
  readLog: () => ChangeLogState,
  limits: ChangeLimits,
  removals: Removals,
) {
  const continueSeries = database.prepare("UPDATE environment_change_log SET epoch = ?, former = ?");
  const insert = database.prepare(`INSERT INTO environment_change (${columns}, is_output, size)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`);
  const advance = database.prepare(`UPDATE environment_change_log
    SET last_position = last_position + ?, events_size = events_size + ?, output_size = output_size + ?
    RETURNING epoch, last_position, events_size, output_size`);

  function limitSize(size: number, maxSize: number, remove: RemoveOldest): void {
    let excess = size - maxSize;
    while (excess > 0) {
      const allowed = excess;
      const removed = remove((_row, removedSize) => removedSize >= allowed, evictionStep);
      if (removed.count === 0) return;
      excess -= removed.size;
    }
  }

  function beginSeries(epoch: string): void {
    const state = readLog();
    if (epoch !== state.epoch) continueSeries.run(epoch, JSON.stringify(formerOfNext(state)));
  }

  return (changes: readonly NewChange[], nowMs: number, newEpoch?: string): AppendedChanges => {
    if (newEpoch !== undefined) beginSeries(newEpoch);
    const sizes = changes.map(sizeOfChange);
    const sizeOf = (isOutput: boolean): number =>
      changes.reduce((sum, { kind }, index) => sum + ((kind === "output") === isOutput ? (sizes[index] ?? 0) : 0), 0);
    const state = advance.get(changes.length, sizeOf(false), sizeOf(true));
    const first = readInteger(state, "last_position") - changes.length + 1;
    for (const [index, change] of changes.entries()) {
      const { kind, tenant, environmentId, deviceId, connectionName, tags, agentId, data } = change;
      insert.run(
        ...[first + index, kind, tenant, environmentId, deviceId, connectionName, writeTags(tags), agentId],
        ...[data, nowMs, Number(kind === "output"), sizes[index] ?? 0],
      );
    }
    limitSize(readInteger(state, "events_size"), limits.events.maxSize, removals.events);
    limitSize(readInteger(state, "output_size"), limits.output.maxSize, removals.output);
    return { first, epoch: readText(state, "epoch") };
  };
}

function preparePrune(database: SqliteDatabase, limits: ChangeLimits, removals: Removals) {
  const removeRecordings = database.prepare("DELETE FROM environment_change_recording WHERE until <= ?");
  return (nowMs: number, limit: number): boolean => {
    removeRecordings.run(nowMs);
    const prune = (part: keyof ChangeLimits): boolean =>
      removals[part]((row) => readInteger(row, "stored_at") > nowMs - limits[part].durationMs, limit).count >= limit;
    const [hasMoreEvents, hasMoreOutput] = [prune("events"), prune("output")];
    return hasMoreEvents || hasMoreOutput;
  };
}

function preparePages(database: SqliteDatabase, readLog: () => ChangeLogState): ChangeLog["readChanges"] {
  const { changes: maxChanges, size: maxSize, examined: maxExamined } = changePageLimits;
  const findEnd = database.prepare(
    `SELECT position FROM environment_change WHERE position > ? ORDER BY position LIMIT 1 OFFSET ${maxExamined - 1}`,
  );
  const where = `tenant = ? AND position > ? AND is_output <= ?
    AND (? IS NULL OR device_id IN (SELECT value FROM json_each(?))) AND position <= ?`;
  const findSizes = database.prepare(
    `SELECT position, size FROM environment_change WHERE ${where} ORDER BY position LIMIT ?`,
  );
  const read = database.prepare(`SELECT ${columns} FROM environment_change WHERE ${where} ORDER BY position`);

  return async ({ tenant, after, includesOutput, deviceIds }: ChangeSelection): Promise<ChangePage> => {
    const devices = deviceIds === null ? null : JSON.stringify(deviceIds);
    const values = [tenant, after, Number(includesOutput), devices, devices];
    const end = findEnd.get(after);
    const examinedThrough = end === undefined ? Number.MAX_SAFE_INTEGER : readInteger(end, "position");
    const sizes = findSizes.all(...values, examinedThrough, maxChanges + 1);
    let [count, size, through] = [0, 0, after];
    for (const row of sizes.slice(0, maxChanges)) {
      size += readInteger(row, "size");
      if (count > 0 && size > maxSize) break;
      through = readInteger(row, "position");
      count += 1;
    }
    const changes = count === 0 ? [] : read.all(...values, through).map(readChange);
    const { lastPosition, ...rest } = readLog();
    if (count < sizes.length) return { changes, through, hasMore: true, ...rest };
    const last = Math.max(after, lastPosition);
    return { changes, through: Math.min(examinedThrough, last), hasMore: examinedThrough < last, ...rest };
  };
}

/** Only this file writes former series. */
function readPositions(row: SqliteRow | undefined): ChangeLogState {
  return {
    epoch: readText(row, "epoch"),
    lastPosition: readInteger(row, "last_position"),
    removedThrough: readInteger(row, "removed_through"),
    outputRemovedThrough: readInteger(row, "output_removed_through"),
    former: JSON.parse(readText(row, "former")) as FormerSeries[],
  };
}

function readChange(row: SqliteRow): StoredChange {
  const tags = readOptionalText(row, "tags");
  return {
    position: readInteger(row, "position"),
    // A check of the table allows no other kinds, and only this file writes tags.
    kind: readText(row, "kind") as ChangeKind,
    tenant: readText(row, "tenant"),
    environmentId: readText(row, "environment_id"),
    deviceId: readText(row, "device_id"),
    connectionName: readText(row, "connection_name"),
    tags: tags === null ? [] : (JSON.parse(tags) as string[]),
    agentId: readOptionalText(row, "agent_id"),
    data: readText(row, "data"),
    storedAt: readInteger(row, "stored_at"),
  };
}

function writeTags(tags: readonly string[]): string | null {
  return tags.length === 0 ? null : JSON.stringify(tags);
}
