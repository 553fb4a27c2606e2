import type {
  GroupCommit,
  SqliteDatabase,
  SqliteRow,
  SqliteStatement,
  SqliteValue,
} from "@letta-environments/platform";
import type { ConnectionRecord, EnvironmentFilter, EnvironmentRows } from "../ports.ts";
import { prepareEnrol } from "./enrol.ts";
import { environmentColumns, readEnvironment, readInteger, readText } from "./columns.ts";
import { createSqliteIdleRows } from "./idle-rows.ts";

/** {@link EnvironmentRows} in SQLite. */
export function createSqliteEnvironmentRows(database: SqliteDatabase, commit: GroupCommit): EnvironmentRows {
  const enrol = prepareEnrol(database);
  const findConnection = database.prepare(`
    SELECT connection.id AS connection_id, connection.generation, connection.key_id,
      connection.opened_at IS NOT NULL AS opened, connection.replaced_at IS NOT NULL AS replaced,
      connection.generation = (SELECT max(generation) FROM environment_connection AS other
        WHERE other.environment_id = connection.environment_id) AS latest,
      ${environmentColumns}
    FROM environment_connection AS connection JOIN environment ON environment.id = connection.environment_id
    WHERE connection.id = ? AND environment.tenant = ?`);
  const findOpening = database.prepare(
    "SELECT environment_id, generation, opened_at IS NOT NULL AS opened FROM environment_connection WHERE id = ?",
  );
  const findDevice = database.prepare(
    `SELECT ${environmentColumns} FROM environment WHERE tenant = ? AND device_id = ?`,
  );
  const markOpened = database.prepare("UPDATE environment_connection SET opened_at = ? WHERE id = ?");
  const markReplaced = database.prepare(`
    UPDATE environment_connection SET replaced_at = ?
    WHERE environment_id = ? AND generation < ? AND replaced_at IS NULL`);
  const markSeen = database.prepare("UPDATE environment SET last_seen_at = max(last_seen_at, ?) WHERE id = ?");
  const saveStatus = database.prepare(
    "UPDATE environment SET current_mode = ?, working_directory = ?, git_branch = ? WHERE id = ?",
  );

  function openConnection(connectionId: string, nowMs: number): void {
    const opening = findOpening.get(connectionId);
    if (opening === undefined) return;
    const environmentId = readText(opening, "environment_id");
    markSeen.run(nowMs, environmentId);
    if (readInteger(opening, "opened") === 1) return;
    markOpened.run(nowMs, connectionId);
    markReplaced.run(nowMs, environmentId, readInteger(opening, "generation"));
    saveStatus.run(null, null, null, environmentId);
  }

  return {
    ...createSqliteIdleRows(database, commit),
    ...createLists(database),
    enrol: (enrolment) => commit(() => enrol(enrolment), { rows: 2, isPatient: true }),
    async findConnection(tenant, connectionId) {
      const row = findConnection.get(connectionId, tenant);
      return row === undefined ? null : readConnection(row);
    },
    openConnection: (connectionId, nowMs) =>
      commit(() => openConnection(connectionId, nowMs), { rows: 3, isPatient: true }),
    async findEnvironments(tenant, deviceId) {
      return findDevice.all(tenant, deviceId).map(readEnvironment);
    },
    saveStatus: (environmentId, { currentMode, workingDirectory, gitBranch }) =>
      commit(() => void saveStatus.run(currentMode, workingDirectory, gitBranch, environmentId), { isPatient: true }),
    saveLastSeen: (times) =>
      commit(
        () => {
          for (const { environmentId, lastSeenAt } of times) markSeen.run(lastSeenAt, environmentId);
        },
        { rows: times.length, isPatient: true },
      ),
  };
}

function createLists(database: SqliteDatabase): Pick<EnvironmentRows, "listEnvironments" | "listNames"> {
  const statements = new Map<string, SqliteStatement>();

  function list(filter: EnvironmentFilter, columns: string): SqliteRow[] {
    const { sql, values } = buildList(filter, columns);
    const statement = statements.get(sql) ?? database.prepare(sql);
    statements.set(sql, statement);
    return statement.all(...values);
  }

  return {
    async listEnvironments(filter) {
      return list(filter, environmentColumns).map(readEnvironment);
    },
    async listNames(filter) {
      return list(filter, "id, device_id, connection_name").map((row) => ({
        id: readText(row, "id"),
        deviceId: readText(row, "device_id"),
        connectionName: readText(row, "connection_name"),
      }));
    },
  };
}

/** Builds a list statement with only the conditions of the filter, so that it can use its index. There are eight for each columns. */
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
  const where = conditions.join(" AND ");
  return { sql: `SELECT ${columns} FROM environment WHERE ${where} ORDER BY id LIMIT ?`, values };
}

function readConnection(row: SqliteRow): ConnectionRecord {
  return {
    connectionId: readText(row, "connection_id"),
    generation: readInteger(row, "generation"),
    keyId: readText(row, "key_id"),
    opened: readInteger(row, "opened") === 1,
    replaced: readInteger(row, "replaced") === 1,
    latest: readInteger(row, "latest") === 1,
    environment: readEnvironment(row),
  };
}
