import type { CommitChange, SqliteDatabase } from "@letta-environments/platform";
import type { EnvironmentRows } from "../ports.ts";
import { environmentByDevice, readTags, readText } from "./columns.ts";
import type { RowCache } from "./row-cache.ts";

/** The part of {@link EnvironmentRows} that removes the rows of devices that no longer connect, in SQLite. */
export function createSqliteIdleRows(
  database: SqliteDatabase,
  commit: CommitChange,
  cache: RowCache,
): Pick<EnvironmentRows, "findIdleEnvironments" | "removeEnvironments"> {
  const findIdle = database.prepare(
    "SELECT id, tenant, device_id, connection_name, tags FROM environment WHERE last_seen_at <= ? ORDER BY last_seen_at LIMIT ?",
  );
  const removeDevices = database.prepare(`
    DELETE FROM environment_device WHERE (tenant, device_id) IN (
      SELECT tenant, device_id FROM environment WHERE id IN (SELECT value FROM json_each(?)))
    AND NOT EXISTS (SELECT 1 FROM environment AS other INDEXED BY ${environmentByDevice}
      WHERE other.tenant = environment_device.tenant
      AND other.device_id = environment_device.device_id AND other.id NOT IN (SELECT value FROM json_each(?)))`);
  const removeRows = database.prepare("DELETE FROM environment WHERE id IN (SELECT value FROM json_each(?))");
  return {
    async findIdleEnvironments(seenAtMs, limit) {
      return findIdle.all(seenAtMs, limit).map((row) => ({
        id: readText(row, "id"),
        tenant: readText(row, "tenant"),
        deviceId: readText(row, "device_id"),
        connectionName: readText(row, "connection_name"),
        tags: readTags(row),
      }));
    },
    removeEnvironments: (environmentIds) =>
      commit(
        () => {
          cache.clear();
          const ids = JSON.stringify(environmentIds);
          removeDevices.run(ids, ids);
          // The connectionIds of the rows are removed with them.
          removeRows.run(ids);
        },
        { rows: environmentIds.length },
      ),
  };
}
