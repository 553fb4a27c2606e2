/** {@link DeviceRows} in SQLite. A change reads the rows of its device and calls `permits` within one transaction. */
import type { CommitChange, SqliteDatabase, SqliteRow, SqliteValue } from "@letta-environments/platform";
import { patchLabels } from "@letta-environments/schema";
import type { DeviceFilter, DeviceRow, DeviceRows, PermitsChange } from "../ports.ts";
import { environmentColumns, readEnvironment, readInteger, readOptionalText, readText } from "./columns.ts";
import { prepareLabels } from "./labels.ts";
import type { RowCache } from "./row-cache.ts";

/** {@link DeviceRows} in SQLite. */
export function createSqliteDeviceRows(database: SqliteDatabase, commit: CommitChange, cache: RowCache): DeviceRows {
  const release = database.prepare(
    "DELETE FROM environment_device WHERE tenant = ? AND device_id = ? AND owner_key_id IS NOT NULL",
  );
  const removeDevice = database.prepare("DELETE FROM environment_device WHERE tenant = ? AND device_id = ?");
  const removeRow = database.prepare("DELETE FROM environment WHERE id = ?");
  const labels = prepareLabels(database);
  const findRemoved = database.prepare(
    "SELECT value FROM json_each(?) WHERE value NOT IN (SELECT id FROM environment_connection)",
  );
  // SQLite changes this number with every commit of another connection to the file, and with none of this one.
  const selectVersion = database.prepare("PRAGMA data_version");

  function list(filter: DeviceFilter): readonly DeviceRow[] {
    const { sql, values } = buildList(filter);
    return database
      .prepare(sql)
      .all(...values)
      .map(readDevice);
  }

  /** Runs a change on the rows of a device that `select` chooses. */
  function change(
    tenant: string,
    deviceId: string,
    permits: PermitsChange,
    run: (rows: readonly DeviceRow[], selected: readonly DeviceRow[]) => void,
    select: (row: DeviceRow) => boolean = () => true,
  ) {
    return commit(() => {
      const rows = list({ tenant, deviceId, afterId: null, limit: null });
      const selected = rows.filter(select);
      if (selected.length === 0 || !permits(selected)) return null;
      run(rows, selected);
      return selected;
    });
  }

  return {
    listDevices: async (filter) => list(filter),
    releaseDevice: (tenant, deviceId, permits) =>
      change(tenant, deviceId, permits, () => void release.run(tenant, deviceId)),
    removeDevice: (tenant, deviceId, permits, environmentId = null) =>
      change(
        tenant,
        deviceId,
        permits,
        (rows, selected) => {
          cache.clear();
          // The connectionIds of the rows are removed with them.
          for (const { id } of selected) removeRow.run(id);
          if (selected.length === rows.length) removeDevice.run(tenant, deviceId);
        },
        ({ id }) => environmentId === null || id === environmentId,
      ),
    labelDevice: (tenant, deviceId, patch, permits) =>
      change(tenant, deviceId, permits, ([row]) => {
        if (row === undefined) return;
        cache.clear();
        labels.save(tenant, deviceId, patchLabels(row, patch));
      }),
    async findRemovedConnections(connectionIds) {
      return findRemoved.all(JSON.stringify(connectionIds)).map((row) => readText(row, "value"));
    },
    readVersion: async () => readInteger(selectVersion.get() ?? {}, "data_version"),
  };
}

/** Builds a list statement with only the conditions of the filter. */
function buildList({ tenant, deviceId, afterId, limit }: DeviceFilter): { sql: string; values: SqliteValue[] } {
  const conditions = ["environment.id > ?"];
  const values: SqliteValue[] = [afterId ?? ""];
  const restrict = (column: string, value: string | null): void => {
    if (value === null) return;
    conditions.push(`environment.${column} = ?`);
    values.push(value);
  };
  restrict("tenant", tenant);
  restrict("device_id", deviceId);
  // SQLite reads a negative limit as none.
  values.push(limit ?? -1);
  // A released device has no row in environment_device, a shared one has a row without a key.
  const sql = `SELECT ${environmentColumns}, device.owner_key_id,
      device.tenant IS NOT NULL AND device.owner_key_id IS NULL AS shared
    FROM environment LEFT JOIN environment_device AS device
      ON device.tenant = environment.tenant AND device.device_id = environment.device_id
    WHERE ${conditions.join(" AND ")} ORDER BY environment.id LIMIT ?`;
  return { sql, values };
}

function readDevice(row: SqliteRow): DeviceRow {
  return {
    ...readEnvironment(row),
    ownerKeyId: readOptionalText(row, "owner_key_id"),
    shared: readInteger(row, "shared") === 1,
  };
}
