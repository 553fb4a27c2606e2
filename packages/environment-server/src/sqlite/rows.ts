/** {@link EnvironmentRows} in SQLite. Most reads are answered by the cache of rows; every change of a row removes it there. */
import type {
  CommitChange,
  SqliteDatabase,
  SqliteRow,
  SqliteStatement,
  SqliteValue,
} from "@letta-environments/platform";
import type { EnvironmentFilter, EnvironmentName, EnvironmentRows } from "../ports.ts";
import { prepareEnrol } from "./enrol.ts";
import { environmentByDevice, readInteger, readTags, readText, removedTenant } from "./columns.ts";
import type { RemovedRows } from "./removed-rows.ts";
import type { RowCache } from "./row-cache.ts";

export function createSqliteEnvironmentRows(
  database: SqliteDatabase,
  commit: CommitChange,
  cache: RowCache,
  removed: RemovedRows,
): EnvironmentRows {
  const enrol = prepareEnrol(database, cache);
  const findOpening = database.prepare(
    "SELECT environment_id, generation, opened_at IS NOT NULL AS opened FROM environment_connection WHERE id = ?",
  );
  const markOpened = database.prepare("UPDATE environment_connection SET opened_at = ? WHERE id = ?");
  const markReplaced = database.prepare(`
    UPDATE environment_connection SET replaced_at = ?
    WHERE environment_id = ? AND generation < ? AND replaced_at IS NULL`);
  const markSeen = database.prepare("UPDATE environment SET last_seen_at = max(last_seen_at, ?) WHERE id = ?");
  const saveStatus = database.prepare(
    "UPDATE environment SET current_mode = ?, working_directory = ?, git_branch = ? WHERE id = ?",
  );

  function openConnection(connectionId: string, nowMs: number, seenAtMs: number): void {
    const opening = findOpening.get(connectionId);
    if (opening === undefined) return;
    const environmentId = readText(opening, "environment_id");
    cache.forget(environmentId);
    markSeen.run(seenAtMs, environmentId);
    if (readInteger(opening, "opened") === 1) return;
    markOpened.run(nowMs, connectionId);
    markReplaced.run(nowMs, environmentId, readInteger(opening, "generation"));
    saveStatus.run(null, null, null, environmentId);
  }

  return {
    ...createIdleRows(database, commit, cache, removed),
    ...createLists(database, cache),
    enrol: (enrolment) => commit(() => enrol(enrolment), { rows: 2, isRelaxed: true }),
    findConnection: async (tenant, connectionId) => cache.findConnection(tenant, connectionId),
    openConnection: (connectionId, nowMs, seenAtMs) =>
      commit(() => openConnection(connectionId, nowMs, seenAtMs), { rows: 3, isRelaxed: true }),
    findEnvironments: async (tenant, deviceId) => cache.rowsOfDevice(tenant, deviceId),
    saveStatus: (environmentId, { currentMode, workingDirectory, gitBranch }) =>
      commit(
        () => {
          cache.forget(environmentId);
          saveStatus.run(currentMode, workingDirectory, gitBranch, environmentId);
        },
        { isRelaxed: true },
      ),
    saveLastSeen: (times) =>
      commit(
        () => {
          for (const { environmentId, lastSeenAt } of times) {
            cache.forget(environmentId);
            markSeen.run(lastSeenAt, environmentId);
          }
        },
        { rows: times.length },
      ),
  };
}

/** Removes the rows of devices that no longer connect. */
function createIdleRows(
  database: SqliteDatabase,
  commit: CommitChange,
  cache: RowCache,
  removed: RemovedRows,
): Pick<EnvironmentRows, "findIdleEnvironments" | "removeEnvironments"> {
  const findIdle = database.prepare(
    `SELECT id, tenant, device_id, connection_name, tags FROM environment
      WHERE last_seen_at <= ? AND tenant <> ${removedTenant} ORDER BY last_seen_at LIMIT ?`,
  );
  const removeDevices = database.prepare(`
    DELETE FROM environment_device WHERE (tenant, device_id) IN (
      SELECT tenant, device_id FROM environment WHERE id IN (SELECT value FROM json_each(?)))
    AND NOT EXISTS (SELECT 1 FROM environment AS other INDEXED BY ${environmentByDevice}
      WHERE other.tenant = environment_device.tenant
      AND other.device_id = environment_device.device_id AND other.id NOT IN (SELECT value FROM json_each(?)))`);
  return {
    async findIdleEnvironments(seenAtMs, limit) {
      return findIdle.all(seenAtMs, limit).map((row) => ({ ...readName(row), tenant: readText(row, "tenant") }));
    },
    removeEnvironments: (environmentIds) =>
      commit(
        () => {
          cache.clear();
          const ids = JSON.stringify(environmentIds);
          removeDevices.run(ids, ids);
          removed.hide(environmentIds);
        },
        { rows: environmentIds.length },
      ),
  };
}

function createLists(
  database: SqliteDatabase,
  cache: RowCache,
): Pick<EnvironmentRows, "listEnvironments" | "listNames"> {
  const statements = new Map<string, SqliteStatement>();

  function list(filter: EnvironmentFilter, columns: string): SqliteRow[] {
    const { sql, values } = buildList(filter, columns);
    const statement = statements.get(sql) ?? database.prepare(sql);
    statements.set(sql, statement);
    return statement.all(...values);
  }

  return {
    async listEnvironments(filter) {
      const { tenant, afterId, environmentIds, deviceIds, owner, limit } = filter;
      if (environmentIds !== null && deviceIds === null && owner === null) {
        const rows = cache.rowsById(environmentIds.toSorted());
        return rows.filter((row) => row.tenant === tenant && row.id > (afterId ?? "")).slice(0, limit);
      }
      const readIds = (): readonly string[] => list(filter, "id").map((row) => readText(row, "id"));
      const isPage = environmentIds === null && deviceIds === null;
      const key = JSON.stringify([tenant, afterId, owner, limit]);
      for (;;) {
        const ids = isPage ? cache.page(key, readIds) : readIds();
        const rows = cache.rowsById(ids);
        // Another process may have removed a row in between. A page with fewer rows would look like the last one.
        if (rows.length === ids.length) return rows;
      }
    },
    listNames: async (filter) => list(filter, "id, device_id, connection_name, tags").map(readName),
  };
}

function readName(row: SqliteRow): EnvironmentName {
  return {
    id: readText(row, "id"),
    deviceId: readText(row, "device_id"),
    connectionName: readText(row, "connection_name"),
    tags: readTags(row),
  };
}

/** Builds a list statement with only the conditions of the filter, and its index. There are eight for each set of columns. */
function buildList(filter: EnvironmentFilter, columns: string): { sql: string; values: SqliteValue[] } {
  const conditions = ["tenant = ?", "id > ?"];
  const values: SqliteValue[] = [filter.tenant, filter.afterId ?? ""];
  const restrict = (condition: string, value: string): void => {
    conditions.push(condition);
    values.push(value);
  };
  const { environmentIds, deviceIds, owner } = filter;
  if (environmentIds !== null) restrict("id IN (SELECT value FROM json_each(?))", JSON.stringify(environmentIds));
  if (deviceIds !== null) restrict("device_id IN (SELECT value FROM json_each(?))", JSON.stringify(deviceIds));
  if (owner !== null) restrict("owner = ?", owner);
  values.push(filter.limit);
  const index = deviceIds === null ? "" : `INDEXED BY ${environmentByDevice}`;
  const where = conditions.join(" AND ");
  return { sql: `SELECT ${columns} FROM environment ${index} WHERE ${where} ORDER BY id LIMIT ?`, values };
}
